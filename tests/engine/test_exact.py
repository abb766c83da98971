"""Seeded requests: the same chunks, cold or cached, and the same text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.engine.client import Engine
from hoshikage.engine.exact import COLD, Shape, chunk, reusable
from tests.engine.test_engine import ask, load, said

BATCH = 8
PROMPT = "The sky above the port was the color of television, tuned to a dead channel. " * 12


def evaluated(n_past: int, n_tokens: int, shape: Shape) -> tuple[list[tuple[int, int]], Shape]:
    """The chunks of a prompt whose first `n_past` tokens are cached, and the shape that they leave."""
    chunks = []
    while n_past < n_tokens:
        length = chunk(n_past, n_tokens, BATCH)
        chunks.append((n_past, length))
        shape = shape.after(n_past, length, BATCH)
        n_past += length
    return chunks, shape


def test_the_last_token_goes_alone_and_chunks_end_on_the_grid() -> None:
    assert evaluated(0, 20, COLD)[0] == [(0, 8), (8, 8), (16, 3), (19, 1)]
    assert evaluated(0, 17, COLD)[0] == [(0, 8), (8, 8), (16, 1)]
    assert evaluated(0, 1, COLD)[0] == [(0, 1)]


def test_the_same_prompt_is_cached_but_for_its_last_token() -> None:
    shape = evaluated(0, 20, COLD)[1]
    assert reusable(19, shape, 20, BATCH) == 19
    assert reusable(16, evaluated(0, 17, COLD)[1], 17, BATCH) == 16


def test_a_longer_prompt_takes_whole_chunks_only() -> None:
    assert reusable(19, evaluated(0, 20, COLD)[1], 30, BATCH) == 16


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 60), st.integers(0, 20))
def test_what_is_reused_was_evaluated_as_it_would_be_cold(first: int, second: int, shared: int, answer: int) -> None:
    shared = min(shared, first + answer, second - 1)
    cold, shape = evaluated(0, first, COLD)
    for at in range(first, first + answer):
        shape = shape.after(at, 1, BATCH)
    kept = reusable(shared, shape, second, BATCH)
    assert kept <= shared
    there = [*cold, *((at, 1) for at in range(first, first + answer))]
    reused = [each for each in there if each[0] < kept]
    rest, left = evaluated(kept, second, shape.cut(kept, BATCH))
    assert (reused + rest, left) == evaluated(0, second, COLD)


async def test_twenty_seeded_runs_are_equal_cold_or_cached(starter: Path) -> None:
    texts, cached = [], []
    for _ in range(2):
        engine = await Engine.start(load(starter))
        for _ in range(10):
            text, end = await said(engine, ask(PROMPT, new=24, seed=7, temperature=1.5))
            texts.append(text)
            cached.append(end.prompt_tokens - end.cached)
        await engine.close()
    assert cached[0] == cached[10] > 100
    assert cached[1:10] == cached[11:] == [1] * 9
    assert len(set(texts)) == 1


@pytest.mark.parametrize("end", [" Why?", " The sky"])
async def test_a_prefix_of_another_seeded_prompt_changes_nothing(starter: Path, end: str) -> None:
    """The other prompt leaves whole chunks and a part of one: only the first may be taken."""
    texts = []
    for before in ([], [PROMPT * 4 + " Night fell."]):
        engine = await Engine.start(load(starter))
        for prompt in before:
            await said(engine, ask(prompt, new=4, seed=1))
        text, done = await said(engine, ask(PROMPT * 4 + end, new=24, seed=7, temperature=1.5))
        texts.append(text)
        assert done.cached == 512 * len(before)
        await engine.close()
    assert texts[0] == texts[1]
