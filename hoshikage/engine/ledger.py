"""Which KV cells belong to which sequence id, counted exactly where sequences share a prefix. Pure.

It mirrors what llama.cpp's unified cache does on decode, seq_cp and seq_rm, so that the scheduler need not ask it.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Run:
    """`length` cells in a row that the same `holders` sequences hold."""

    length: int
    holders: int = 1


class Ledger:
    """The cells of every sequence id, as runs; `total` counts a shared cell once."""

    def __init__(self) -> None:
        self.total = 0
        self._runs: dict[int, list[Run]] = {}

    def extend(self, slot: int, count: int) -> None:
        """`count` new cells at the end of a sequence."""
        if not count:
            return
        runs = self._runs.setdefault(slot, [])
        if runs and runs[-1].holders == 1:
            runs[-1].length += count
        else:
            runs.append(Run(count))
        self.total += count

    def cut(self, slot: int, keep: int) -> None:
        """The sequence keeps its first `keep` cells; those that nobody holds any more are free."""
        runs = self._runs.get(slot, [])
        kept = self._split(runs, keep)
        for run in runs[kept:]:
            run.holders -= 1
            self.total -= 0 if run.holders else run.length
        del runs[kept:]
        if not runs:
            self._runs.pop(slot, None)

    def copy(self, source: int, slot: int, length: int) -> None:
        """The empty `slot` shares the first `length` cells of `source`."""
        runs = self._runs[source]
        shared = runs[: self._split(runs, length)]
        for run in shared:
            run.holders += 1
        self._runs[slot] = shared

    def held(self, slots: Iterable[int]) -> int:
        """How many different cells these sequences hold together."""
        runs = {id(run): run.length for slot in slots for run in self._runs.get(slot, ())}
        return sum(runs.values())

    def slots(self) -> list[int]:
        """The sequences that hold cells."""
        return list(self._runs)

    def separate(self) -> None:
        """Every sequence has cells of its own now."""
        self._runs = {slot: [Run(length)] for slot, length in self._lengths().items()}
        self.total = self.separated

    @property
    def separated(self) -> int:
        """What `total` would be without sharing."""
        return sum(self._lengths().values())

    def _lengths(self) -> dict[int, int]:
        return {slot: sum(run.length for run in runs) for slot, runs in self._runs.items()}

    def _split(self, runs: list[Run], at: int) -> int:
        """Make position `at` a boundary between runs, for every holder. Returns the index of the run behind it."""
        start = 0
        for index, run in enumerate(runs):
            if start >= at:
                return index
            if at < start + run.length:
                self._divide(run, at - start)
                return index + 1
            start += run.length
        return len(runs)

    def _divide(self, run: Run, at: int) -> None:
        rest = Run(run.length - at, run.holders)
        run.length = at
        for runs in self._runs.values():
            if run in runs:
                runs.insert(runs.index(run) + 1, rest)
