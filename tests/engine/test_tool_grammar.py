"""What an answer must be that calls a tool: under each format's own grammar the engine writes what its parser reads."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hoshikage.conversation import ToolCall
from hoshikage.engine.client import Engine
from hoshikage.templates.tools.formats import FORMATS
from tests.engine.test_constraint import ask
from tests.engine.test_engine import load, said

pytestmark = pytest.mark.asyncio(loop_scope="module")


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": {**schema, "additionalProperties": False}}}


TOOLS = (
    tool("get_weather", city={"enum": ["Paris", "東京"]}, days={"type": "integer", "minimum": 1, "maximum": 9}),
    tool("now"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(starter: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(load(starter))
    yield started
    await started.close()


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_forced_answer_is_one_call_with_fitting_arguments(engine: Engine, row: Any, seed: int) -> None:
    asked = ask(row.forced(TOOLS), prompt="The weather in Paris:\n", temperature=1.0, seed=seed)
    text, end = await said(engine, asked)
    parser = row.parser(TOOLS, "")
    events = [*parser.feed(text), *parser.end()]
    call = events[0]
    assert isinstance(call, ToolCall)
    assert events == [call]
    wanted = {"get_weather": {"city", "days"}, "now": set()}
    assert (set(call.arguments), end.reason) == (wanted[call.name], "stop")
