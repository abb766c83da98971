"""Constraints that begin after a free part: what a model thinks first is its own, its answer is not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hoshikage.constraints import Constraint
from hoshikage.engine.client import Engine
from tests.engine.test_constraint import ask
from tests.engine.test_engine import load, said

pytestmark = pytest.mark.asyncio(loop_scope="module")
THOUGHTS = "<think>\nI add one and two.\n</think>\n\n[3]\n" * 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(starter: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(load(starter))
    yield started
    await started.close()


def after(opening: str, source: str = r"\[(7|8)\]", closing: str = "</think>") -> Constraint:
    return Constraint(kind="regex", source=source, after=(opening, closing))


async def test_what_is_thought_is_free_and_the_answer_is_not(engine: Engine) -> None:
    text, end = await said(engine, ask(after("<think>"), prompt=THOUGHTS, new=60))
    thought, closing, answer = text.partition("</think>")
    assert thought.startswith("<think>")
    assert len(thought) > len("<think>")
    assert (closing, answer.strip() in {"[7]", "[8]"}, end.reason) == ("</think>", True, "stop")


async def test_thinking_that_has_begun_must_end_before_the_answer(engine: Engine) -> None:
    text, end = await said(engine, ask(after(""), prompt=THOUGHTS + "<think>\n", new=60))
    thought, closing, answer = text.partition("</think>")
    assert thought.strip()
    assert (closing, answer.strip() in {"[7]", "[8]"}, end.reason) == ("</think>", True, "stop")


async def test_a_model_that_does_not_think_answers_at_once(engine: Engine) -> None:
    text, end = await said(engine, ask(after("<think>"), prompt="The number in brackets: [7] [8] [7] ", new=20))
    assert text in {"[7]", "[8]"}
    assert end.reason == "stop"


async def test_a_tag_may_be_a_control_token_which_is_not_shown(engine: Engine) -> None:
    """The bias makes the model begin with <|im_start|>, token 1, which ends the free part at once."""
    constraint = after("", source="yes|no", closing="<|im_start|>")
    text, end = await said(engine, ask(constraint, new=20, logit_bias={1: 100.0}))
    assert text.strip() in {"yes", "no"}
    assert end.reason == "stop"
