"""Fitting a chat with a real engine's counts: one round trip, remembered, and the rendered text decides."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from fixtures.tiny_gguf import make_tiny
from hoshikage.conversation import Message, ToolCall
from hoshikage.engine.client import Engine
from hoshikage.engine.wire import Load, Ready
from hoshikage.errors import ContextOverflow, RestTooLong, TemplateFailed
from hoshikage.fit import room
from hoshikage.fitting import IMAGE_TOKENS, Fitter, uncut, weighed
from hoshikage.images import marked, new_mark
from hoshikage.prompts import Text

SYSTEM = Message(role="system", content="Be brief.")


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """A byte is a token."""
    path = make_tiny(tmp_path / "tiny.gguf", window=4096)
    load = Load(path=str(path), n_ctx=4096, n_batch=64, n_threads=1, n_gpu_layers=0, num_parallel=1)
    made = await Engine.start(load)
    yield made
    await made.close()


def lines(turns: Sequence[Message]) -> Text:
    """A template that adds a line's end to each turn."""
    text = "".join(f"{turn.role[0]}{turn.content}\n" for turn in turns)
    return lambda _ready: text


def chat(exchanges: int, length: int = 38) -> list[Message]:
    pairs = [(Message(role="user", content=f"{at:02}" * (length // 2)), Message(role="assistant")) for at in range(99)]
    return [SYSTEM, *(turn for pair in pairs[:exchanges] for turn in pair)][:-1]


async def test_a_chat_whose_bytes_fit_is_sent_without_being_counted(engine: Engine) -> None:
    found = await Fitter().fit(engine, lines, chat(3), room(512, 4))
    assert (found.turns, found.total, found.left_out, found.tokens) == (tuple(chat(3)), 6, 0, None)


async def test_what_stays_fits_and_what_is_said_is_counted(engine: Engine) -> None:
    turns = chat(20)
    found = await Fitter().fit(engine, lines, turns, room(512, 4))
    text = lines(turns)(engine.ready)
    assert found.tokens == (await engine.count([text]))[0] == len(text)
    assert found.total - found.left_out == len(found.turns)
    assert (found.turns[0], found.turns[-7:]) == (SYSTEM, tuple(turns[-7:]))
    assert found.text == lines(found.turns)(engine.ready)
    assert len(found.text) <= room(512, 4).goal


async def test_a_template_that_is_dearer_for_few_turns_is_met_by_leaving_out_more(engine: Engine) -> None:
    def padded(turns: Sequence[Message]) -> Text:
        return lambda ready: lines(turns)(ready) + "." * (200 if 1 < len(turns) < 30 else 0)

    found = await Fitter().fit(engine, padded, chat(20), room(512, 4))
    assert len(found.text) <= room(512, 4).wanted
    assert len(found.turns) < len((await Fitter().fit(engine, lines, chat(20), room(512, 4))).turns)


@pytest.fixture
def asked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The texts that the engine is asked to count."""
    asked: list[Sequence[str]] = []
    count = engine.count

    async def counting(texts: Sequence[str], *, add_special: bool = False) -> tuple[int, ...]:
        asked.append(texts)
        return await count(texts, add_special=add_special)

    monkeypatch.setattr(engine, "count", counting)
    return asked


async def test_each_text_is_counted_once(engine: Engine, asked: list[Sequence[str]]) -> None:
    fitter = Fitter()
    assert await fitter.counts(engine, ["ab", "c", "ab"]) == [2, 1, 2]
    assert await fitter.counts(engine, ["c", "def"]) == [1, 3]
    assert asked == [["ab", "c"], ["def"]]


async def test_of_a_chat_that_goes_on_only_what_is_new_is_counted(engine: Engine, asked: list[Sequence[str]]) -> None:
    def told(turns: Sequence[Message]) -> Text:
        return lambda _ready: "".join("<|im_start|>" + turn.content for turn in turns)

    fitter, turns = Fitter(), [Message(role="user", content=f"<|im_end|>{at:02}" * 4) for at in range(7)]
    for count in (5, 6, 7):
        assert (await fitter.fit(engine, told, turns[:count], room(256, 4))).left_out == 0
    assert asked == [[turn.content for turn in turns[:5]], [turns[5].content], [turns[6].content]]


async def test_what_must_stay_and_does_not_fit_is_refused_with_both_numbers(engine: Engine) -> None:
    with pytest.raises(RestTooLong, match=r"oldest 2 of its 10 turns.* 225 tokens.* 128 tokens"):
        await Fitter().fit(engine, lines, chat(5, 50), room(128, 4))
    with pytest.raises(ContextOverflow, match=r" 512 tokens.* 64 tokens"):
        await Fitter().fit(engine, lines, [Message(role="user", content="x" * 510)], room(64, 4))


async def test_a_question_that_leaves_little_room_for_the_answer_is_asked_all_the_same(engine: Engine) -> None:
    question = [Message(role="user", content="x" * 120)]
    assert (await Fitter().fit(engine, lines, question, room(128, 0))).left_out == 0


async def test_an_image_takes_its_share_of_the_room(engine: Engine) -> None:
    turns = [Message(role="user", images=(b"x",)), *chat(5)[1:]]
    found = await Fitter().fit(engine, lines, turns, room(IMAGE_TOKENS + 200, 4))
    assert found.left_out == 1
    assert found.tokens == IMAGE_TOKENS + len(lines(turns)(engine.ready))


async def test_an_image_counts_the_same_whatever_its_mark_is(engine: Engine, asked: list[Sequence[str]]) -> None:
    turns = [*chat(6), Message(role="user", content="See [img]!", images=(b"x",))]
    for _ in range(2):
        found = await Fitter().fit(engine, lines, marked(turns, new_mark()), room(IMAGE_TOKENS + 240, 4))
        assert found.left_out
    half = len(asked) // 2
    assert asked[:half] == asked[half:]
    assert any("See [img-0]!" in texts for texts in asked)


async def test_uncut_sends_all_and_a_template_that_fails_says_why(engine: Engine) -> None:
    assert (await uncut(engine, lines, chat(20), room(64, 4))).turns == tuple(chat(20))

    def failing(_turns: Sequence[Message]) -> Callable[[Ready], str]:
        raise TemplateFailed(reason="no")

    with pytest.raises(TemplateFailed):
        await Fitter().fit(engine, failing, chat(2), room(64, 4))


def test_calls_are_counted_and_earlier_thinking_is_not() -> None:
    turn = Message(role="assistant", content="a", thinking="t", tool_calls=(ToolCall(name="f", arguments={"x": "é"}),))
    assert weighed(turn) == 'a\n["f", {"x": "é"}]'
