"""The prefix index, without a model."""

from hypothesis import given
from hypothesis import strategies as st

from hoshikage.engine.prefix import Match, Resident, common_prefix, eviction_order
from hoshikage.engine.prefix import best_match as best_usable

TOKENS = st.lists(st.integers(0, 3), max_size=700)


def resident(slot: int, tokens: list[int], *, owner: str = "a", busy: bool = False, used_at: int = 0) -> Resident:
    return Resident(slot, owner, tokens, len(tokens), busy, used_at)


def best_match(residents: list[Resident], owner: str, tokens: list[int]) -> Match | None:
    return best_usable(residents, owner, tokens, lambda _resident, _length: True)


@given(TOKENS, TOKENS)
def test_the_common_prefix_is_the_one_a_loop_finds(a: list[int], b: list[int]) -> None:
    expected = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    assert common_prefix(a, b) == expected


@given(TOKENS, TOKENS, TOKENS)
def test_a_long_shared_start_is_found_whole(start: list[int], a: list[int], b: list[int]) -> None:
    assert common_prefix([*start, 7, *a], [*start, 8, *b]) == len(start)


def test_the_longest_match_wins() -> None:
    match = best_match([resident(0, [1, 2]), resident(1, [1, 2, 3])], "a", [1, 2, 3, 4])
    assert match is not None
    assert (match.resident.slot, match.length) == (1, 3)


def test_another_owners_prefix_is_never_shared() -> None:
    assert best_match([resident(0, [1, 2, 3], owner="b")], "a", [1, 2, 3, 4]) is None


def test_one_token_is_left_to_evaluate() -> None:
    match = best_match([resident(0, [1, 2, 3])], "a", [1, 2, 3])
    assert match is not None
    assert match.length == 2


def test_only_tokens_in_the_cache_count() -> None:
    growing = Resident(0, "a", [1, 2, 3, 4], 2, True, 0)
    match = best_match([growing], "a", [1, 2, 3, 4, 5])
    assert match is not None
    assert match.length == 2


def test_of_equal_matches_an_idle_one_is_taken() -> None:
    match = best_match([resident(0, [1, 2], busy=True), resident(1, [1, 2])], "a", [1, 2, 3])
    assert match is not None
    assert match.resident.slot == 1


def test_the_longest_unused_is_evicted_first_and_a_busy_one_never() -> None:
    order = eviction_order([resident(0, [1], used_at=5), resident(1, [1], used_at=3), resident(2, [1], busy=True)])
    assert [r.slot for r in order] == [1, 0]


def test_a_longer_prefix_that_cannot_be_used_is_passed_over() -> None:
    residents = [resident(0, [1, 2, 3]), resident(1, [1, 2])]
    match = best_usable(residents, "a", [1, 2, 3, 4], lambda _resident, length: length == 2)
    assert match is not None
    assert (match.resident.slot, match.length) == (1, 2)
