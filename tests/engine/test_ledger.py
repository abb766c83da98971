"""The ledger of cells against sets of cells."""

import random

import pytest

from hoshikage.engine.ledger import Ledger


class Sets:
    """The same as sets: every cell is an object of its own."""

    def __init__(self) -> None:
        self.held: dict[int, list[object]] = {}

    def extend(self, slot: int, count: int) -> None:
        self.held.setdefault(slot, []).extend(object() for _ in range(count))

    def cut(self, slot: int, keep: int) -> None:
        self.held[slot] = self.held.get(slot, [])[:keep]

    def copy(self, source: int, slot: int, length: int) -> None:
        self.held[slot] = self.held[source][:length]

    def count(self, slots: list[int]) -> int:
        return len({id(cell) for slot in slots for cell in self.held.get(slot, [])})


@pytest.mark.parametrize("seed", range(30))
def test_cells_are_counted_as_sets_count_them(seed: int) -> None:
    rng, ledger, sets = random.Random(seed), Ledger(), Sets()
    for _ in range(300):
        slot, source = rng.sample(range(6), 2)
        length = len(sets.held.get(slot, []))
        match rng.choice("extend extend cut copy".split()):
            case "extend":
                change: tuple[str, *tuple[int, ...]] = ("extend", slot, rng.randint(1, 20))
            case "cut":
                change = ("cut", slot, rng.randint(0, length))
            case _ if length == 0 and sets.held.get(source):
                change = ("copy", source, slot, rng.randint(1, len(sets.held[source])))
            case _:
                change = ("cut", slot, 0)
        for each in (ledger, sets):
            getattr(each, change[0])(*change[1:])
        some = rng.sample(range(6), 3)
        assert (ledger.total, ledger.held(some)) == (sets.count(list(range(6))), sets.count(some))


def test_a_sequence_without_cells_is_none() -> None:
    ledger = Ledger()
    ledger.extend(3, 0)
    assert ledger.slots() == []


def test_sequences_that_share_no_more_are_counted_in_full() -> None:
    ledger = Ledger()
    ledger.extend(0, 100)
    ledger.copy(0, 1, 60)
    ledger.extend(1, 5)
    assert (ledger.total, ledger.separated, ledger.slots()) == (105, 165, [0, 1])
    ledger.separate()
    ledger.cut(0, 0)
    assert (ledger.total, ledger.held([1])) == (65, 65)
