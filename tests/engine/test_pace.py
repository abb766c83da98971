"""How much prefill fits beside streams."""

import pytest

from hoshikage.engine.pace import FIRST_CHUNK, LEAST_CHUNK, TILE, Pace

MS = 1_000_000


def learned(token_ms: float, decode_ms: float = 20) -> Pace:
    pace = Pace(300 * MS)
    for _ in range(50):
        pace.learn(0, int(decode_ms * MS))
        pace.learn(100, int((decode_ms + 100 * token_ms) * MS))
    return pace


def test_before_anything_is_measured_a_small_chunk_is_tried() -> None:
    assert Pace(300 * MS).chunk(2) == FIRST_CHUNK - 2


@pytest.mark.parametrize(("token_ms", "rows"), [(0.5, 576), (1, 256), (2, 128), (4, 64), (6, 64)])
def test_the_batch_fills_whole_tiles_within_half_as_much_again_as_the_budget(token_ms: float, rows: int) -> None:
    chunk = learned(token_ms).chunk(3)
    assert chunk + 3 == rows
    assert rows % TILE == 0
    assert chunk * token_ms + 20 <= 1.5 * 300


def test_a_slow_model_gets_what_fits_and_a_very_slow_one_goes_on() -> None:
    assert learned(10).chunk(1) == 28
    assert learned(200).chunk(1) == LEAST_CHUNK


def test_chunks_too_small_to_tell_teach_nothing() -> None:
    pace = learned(2)
    pace.learn(3, 10_000 * MS)
    assert pace.chunk(0) == 128
