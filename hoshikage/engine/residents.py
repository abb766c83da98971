"""The sequences in the KV cache: placing, sharing, evicting. Pure: a `Memory` moves cells and snapshots.

Cells are counted by a ledger, so a prefix that eight sequences share counts once.
"""

from dataclasses import dataclass
from typing import Protocol

from hoshikage.engine.exact import COLD, reusable
from hoshikage.engine.ledger import Ledger
from hoshikage.engine.prefix import ALIKE, Match, Resident, Reuse, Saved, best_match, eviction_order, shared_length
from hoshikage.engine.sequence import Sequence, State

TAIL_KEPT = 64
"""An idle sequence that goes on for more tokens than this past the shared prefix is copied, not cut."""
RESTORE_GAIN = 16
"""A snapshot is read only if it saves the evaluation of at least this many tokens more than the cache itself does."""
MARKS = 3
"""Turn ends that are remembered of a sequence, for the checkpoints of its snapshot: where the prompt went on from, and
all of the prompt but the token that an answer is made anew from."""


class Memory(Protocol):
    """The KV cache and its snapshots. What returns a length may hold fewer leading tokens than were asked for."""

    def holds(self, slot: int, keep: int) -> bool: ...
    def cut(self, slot: int, keep: int) -> int: ...
    def copy(self, source: int, slot: int, length: int) -> int: ...
    def grow(self, cells: int, ledger: Ledger) -> bool: ...
    def save(self, resident: Resident) -> bool: ...
    def find(self, owner: str, tokens: list[int]) -> Saved | None: ...
    def restore(self, saved: Saved, slot: int, owner: str, tokens: list[int]) -> int: ...
    def foreign(self, owner: str, tokens: list[int]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The KV cache has `slots` sequence ids and `cells` tokens, and may grow to `most_cells`.

    `running` sequences run; `batch` tokens are evaluated a step. With `thin`, idle sequences make room for running ones
    as soon as a snapshot holds them: attention passes over every cell up to the last one in use (measured with SmolLM2
    on two cores: 2,000 idle cells make a step 7 % longer, 6,500 a third).
    """

    slots: int
    cells: int
    running: int
    batch: int
    most_cells: int = 0
    thin: bool = False


class Residents:
    """Every sequence in the cache, running or idle, by slot. `cells` is the present size of the cache."""

    def __init__(self, limits: Limits, memory: Memory) -> None:
        self.memory = memory
        self.ledger = Ledger()
        self.by_slot: dict[int, Resident] = {}
        self.cells = limits.cells
        self.most_cells = max(limits.cells, limits.most_cells)
        self._slots, self._batch, self._thins = limits.slots, limits.batch, limits.thin

    @property
    def free(self) -> int:
        """Cells that hold nothing."""
        return self.cells - self.ledger.total

    @property
    def busy_cells(self) -> int:
        """Cells that running sequences hold."""
        return self.ledger.held(r.slot for r in self.by_slot.values() if r.busy)

    def match(self, sequence: Sequence) -> Match | None:
        """The resident that lends the longest prefix, to an exact sequence as much as was evaluated alike."""
        match = best_match(self.by_slot.values(), sequence.owner, sequence.tokens, self._usable)
        if sequence.pictures and match is not None:
            match = self._uncut(match, sequence)
        if match is None or not sequence.exact:
            return match
        length = reusable(match.length, match.resident.shape, len(sequence.tokens), self._batch)
        return Match(match.resident, length) if length and self._usable(match.resident, length) else None

    def place(self, sequence: Sequence, step: int) -> None:
        """Give it a slot, with as much of its prompt in it as a resident or a snapshot can lend."""
        match = self.match(sequence)
        saved = None if sequence.exact else self.memory.find(sequence.owner, sequence.tokens)
        if saved and sequence.boundary(saved.length) != saved.length:
            saved = None  # it ends in a picture, and may not be cut before it
        if saved and saved.length >= RESTORE_GAIN + (match.length if match else 0):
            slot, kept = self._restore(saved, match, sequence)
            if kept:
                self._enter(sequence, slot, kept, saved.tier, step)
                self._thin(None)
                return
            match = self.match(sequence)
        self._thin(match.resident if match else None)
        slot, kept, marks = self._lend(match, in_place=sequence.exact)
        shape = match.resident.shape.cut(kept, self._batch) if match else COLD
        self._enter(sequence, slot, kept, Reuse.HIT_RAM if kept else self._miss(sequence, saved), step)
        self.by_slot[slot].marks, self.by_slot[slot].shape = marks, shape

    def leave(self, sequence: Sequence, step: int) -> None:
        """It runs no more; what it has in the cache stays, idle."""
        resident = self.by_slot[sequence.slot]
        if sequence.n_past == 0:
            self.drop(resident)
            return
        resident.tokens, resident.n_past = sequence.tokens[: sequence.n_past], sequence.n_past
        resident.busy, resident.used_at = False, step
        if sequence.n_past >= sequence.n_prompt:
            resident.marks = [*resident.marks, sequence.n_cached, sequence.n_prompt - 1][-MARKS:]

    def extend(self, sequence: Sequence, count: int, step: int, *, alone: bool = False) -> None:
        """`count` more of its tokens are in the cache; `alone` in their batch."""
        resident = self.by_slot[sequence.slot]
        if alone:
            resident.shape = resident.shape.after(sequence.n_past, count, self._batch)
        sequence.n_past += count
        resident.n_past, resident.used_at = sequence.n_past, step
        self.ledger.extend(sequence.slot, count)

    def cut(self, sequence: Sequence, keep: int) -> None:
        """Take back what was drafted in vain; where the model cannot, less is left and evaluated again."""
        kept = self.memory.cut(sequence.slot, keep)
        self.ledger.cut(sequence.slot, kept)
        resident = self.by_slot[sequence.slot]
        resident.n_past = sequence.n_past = kept
        resident.shape = resident.shape.cut(kept, self._batch)

    def make_room(self, count: int, spare: Resident | None = None) -> bool:
        """Evict idle residents, then grow, until `count` cells are free; whether they are."""
        while self.free < count and self.evict(spare):
            pass
        return self.free >= count or self._grow(count)

    def evict(self, spare: Resident | None = None) -> bool:
        """Save and drop the idle resident that was unused for longest; False if there is none."""
        order = [r for r in eviction_order(self.by_slot.values()) if r is not spare]
        if order:
            self.put_away(order[0])
        return bool(order)

    def put_away(self, resident: Resident) -> None:
        """Save and drop it."""
        self.memory.save(resident)
        self.drop(resident)

    def _thin(self, spare: Resident | None) -> None:
        """Let the idle residents go that snapshots can bring back."""
        idle = [r for r in self.by_slot.values() if not r.busy and r is not spare]
        for resident in idle if self._thins else ():
            if self.memory.save(resident):
                self.drop(resident)

    def drop(self, resident: Resident) -> None:
        self.memory.cut(resident.slot, 0)
        self.ledger.cut(resident.slot, 0)
        del self.by_slot[resident.slot]

    def unsaved(self) -> Resident | None:
        """The idle resident used last of those that no snapshot holds as they are now."""
        order = [r for r in eviction_order(self.by_slot.values()) if r.saved != r.n_past]
        return order[-1] if order else None

    def _uncut(self, match: Match, sequence: Sequence) -> Match | None:
        """The match without a picture that it ends in; an exact sequence is evaluated anew, its pictures in between."""
        if sequence.exact:
            return None
        length = sequence.boundary(match.length)
        usable = length == match.length or (length > 0 and self._usable(match.resident, length))
        return Match(match.resident, length) if usable else None

    def _usable(self, resident: Resident, length: int) -> bool:
        return self.memory.holds(resident.slot, length)

    def _enter(self, sequence: Sequence, slot: int, kept: int, reuse: Reuse, step: int) -> None:
        self.by_slot[slot] = Resident(slot, sequence.owner, sequence.tokens, kept, True, step)
        sequence.slot, sequence.n_past, sequence.state = slot, kept, State.PREFILL
        if not sequence.admitted:
            sequence.n_cached, sequence.reuse, sequence.admitted = kept, reuse, True

    def _restore(self, saved: Saved, match: Match | None, sequence: Sequence) -> tuple[int, int]:
        """A slot and how many tokens of the prompt the snapshot has put into it."""
        spare = match.resident if match else None
        if not self.make_room(saved.cells, spare):
            return -1, 0
        slot = self._take_slot(spare)
        kept = self.memory.restore(saved, slot, sequence.owner, sequence.tokens)
        self.ledger.extend(slot, kept)
        return slot, kept

    def _lend(self, match: Match | None, *, in_place: bool) -> tuple[int, int, list[int]]:
        """A slot, how many tokens of the prompt are in it, and the turn ends among them."""
        if match is None:
            return self._take_slot(None), 0, []
        source = match.resident
        marks = [mark for mark in source.marks if mark <= match.length]
        if self._continues(match, in_place):
            kept = self.memory.cut(source.slot, match.length)
            self.ledger.cut(source.slot, kept)
            return source.slot, kept, marks
        slot = self._take_slot(source)
        kept = self.memory.copy(source.slot, slot, match.length)
        if kept:
            self.ledger.copy(source.slot, slot, kept)
        return slot, kept, marks

    def _continues(self, match: Match, in_place: bool) -> bool:
        """Whether the matched sequence is cut and continued rather than copied.

        `in_place` asks for it, since tokens that follow in other cells are rounded in another way.
        """
        if match.resident.busy:
            return False
        only_this_could_go = len(self.by_slot) == self._slots and len(eviction_order(self.by_slot.values())) == 1
        return match.resident.n_past - match.length <= TAIL_KEPT or in_place or only_this_could_go

    def _take_slot(self, spare: Resident | None) -> int:
        if len(self.by_slot) == self._slots:
            self.evict(spare) or self.evict()
        return next(slot for slot in range(self._slots) if slot not in self.by_slot)

    def _grow(self, more: int) -> bool:
        """Double the cache until `more` cells are free; a refusal for want of memory is final.

        Sequences share no cells afterwards.
        """
        cells, needed = self.cells, self.ledger.separated + more
        while cells < needed:
            cells *= 2
        cells = min(cells, self.most_cells)
        if cells < needed or cells == self.cells:
            return False
        if not self.memory.grow(cells, self.ledger):
            self.most_cells = self.cells
            return False
        self.cells = cells
        self.ledger.separate()
        return True

    def _miss(self, sequence: Sequence, saved: Saved | None) -> Reuse:
        """Why nothing of the prompt was lent."""
        if self._lost(sequence, saved):
            return Reuse.MISS_SWA
        others = [r for r in self.by_slot.values() if r.owner != sequence.owner]
        if any(shared_length(r, sequence.tokens) >= ALIKE for r in others):
            return Reuse.MISS_OWNER
        return Reuse.MISS_OWNER if self.memory.foreign(sequence.owner, sequence.tokens) else Reuse.MISS_PREFIX

    def _lost(self, sequence: Sequence, saved: Saved | None) -> bool:
        """Whether something of the owner's begins alike and cannot be cut to it; exact ones only do not want it."""
        if sequence.exact:
            return False
        own = [r for r in self.by_slot.values() if r.owner == sequence.owner and r.slot != sequence.slot]
        resident = any(shared_length(r, sequence.tokens) >= ALIKE for r in own)
        return resident or (saved is not None and saved.length < ALIKE <= saved.token_length)
