"""A KV cache that only counts: what a unified llama.cpp cache would hold, as sets of (slot, position)."""

from hoshikage.engine.ledger import Ledger
from hoshikage.engine.prefix import Resident, Reuse, Saved, common_prefix
from hoshikage.engine.scheduler import Chunk


class CountingMemory:
    """At most `cells` cells, shared by copy, and snapshots by number; `cuts` False models a sliding window."""

    def __init__(self, cells: int, *, cuts: bool = True, snapshots: bool = False) -> None:
        self.cells = cells
        self.cuts = cuts
        self.snapshots = snapshots
        self.held: dict[int, list[object]] = {}
        self.saved: list[tuple[str, list[int]]] = []

    def holds(self, slot: int, keep: int) -> bool:
        return self.cuts or keep == len(self.held.get(slot, []))

    def cut(self, slot: int, keep: int) -> int:
        held = self.held.get(slot, [])
        assert keep <= len(held)
        kept = keep if self.holds(slot, keep) else 0
        self.held[slot] = held[:kept]
        return kept

    def copy(self, source: int, slot: int, length: int) -> int:
        assert not self.held.get(slot)
        self.held[slot] = self.held[source][:length]
        return length

    def grow(self, cells: int, ledger: Ledger) -> bool:
        assert cells > self.cells
        self.cells = cells
        self.held = {slot: [object() for _ in held] for slot, held in self.held.items()}
        assert sorted(ledger.slots()) == sorted(slot for slot, held in self.held.items() if held)
        return True

    def save(self, resident: Resident) -> bool:
        assert len(self.held[resident.slot]) == resident.n_past
        if self.snapshots:
            self.saved.append((resident.owner, resident.tokens[: resident.n_past]))
        resident.saved = resident.n_past
        return self.snapshots

    def find(self, owner: str, tokens: list[int]) -> Saved | None:
        """A snapshot can be restored as a whole only where the model cannot cut."""
        best = None
        for key, (whose, told) in enumerate(self.saved):
            shared = min(common_prefix(told, tokens), len(tokens) - 1) if whose == owner else 0
            usable = shared if self.cuts or shared == len(told) else 0
            if shared and (best is None or usable > best.length):
                best = Saved(str(key), usable, len(told), shared, Reuse.HIT_SNAPSHOT)
        return best

    def restore(self, saved: Saved, slot: int, owner: str, tokens: list[int]) -> int:
        whose, told = self.saved[int(saved.key)]
        assert (whose, told[: saved.length]) == (owner, tokens[: saved.length])
        assert not self.held.get(slot)
        assert self.used + len(told) <= self.cells, "restored into a full cache"
        self.held[slot] = [object() for _ in range(saved.length)]
        return saved.length

    def foreign(self, owner: str, tokens: list[int]) -> bool:
        return any(whose != owner and common_prefix(told, tokens) for whose, told in self.saved)

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
