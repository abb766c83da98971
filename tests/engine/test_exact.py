"""Seeded requests: the same chunks, cold or cached, and the same text."""

from hypothesis import given
from hypothesis import strategies as st

from hoshikage.engine.exact import COLD, Shape, chunk, reusable

BATCH = 8


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
