"""A KV cache that only counts: what a unified llama.cpp cache would hold, as sets of (slot, position)."""

from hoshikage.engine.scheduler import Chunk


class CountingMemory:
    """At most `cells` cells, shared by copy; `cuts` False models a sliding window."""

    def __init__(self, cells: int, *, cuts: bool = True) -> None:
        self.cells = cells
        self.cuts = cuts
        self.held: dict[int, list[object]] = {}

    def cut(self, slot: int, keep: int) -> int:
        held = self.held.get(slot, [])
        assert keep <= len(held)
        kept = keep if self.cuts or keep == len(held) else 0
        self.held[slot] = held[:kept]
        return kept

    def copy(self, source: int, slot: int, length: int) -> int:
        assert not self.held.get(slot)
        self.held[slot] = self.held[source][:length]
        return length

    def decode(self, chunks: list[Chunk]) -> None:
        """Put the chunks' tokens into cells; more than there are is the scheduler's fault."""
        for chunk in chunks:
            held = self.held.setdefault(chunk.sequence.slot, [])
            assert len(held) == chunk.start, "positions must follow on"
            held += [object() for _ in range(chunk.length)]
        assert self.used <= self.cells, "more tokens than cells"

    @property
    def used(self) -> int:
        return len({id(cell) for held in self.held.values() for cell in held})
