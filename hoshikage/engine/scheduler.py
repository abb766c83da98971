"""Decides which tokens go into the next batch. Pure: it knows tokens and slots, and a `Memory` that moves KV cells.

A step is `plan()`, the decode of the plan's chunks, `commit()`. Running sequences come first with one token each, the
rest of the batch is prefill (chunked prefill as in arXiv:2308.16369). A sequence for which no cell is left goes back to
the queue and is prefilled again later (preemption by recomputation, arXiv:2309.06180).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hoshikage.engine.prefix import Match, Resident, best_match, eviction_order
from hoshikage.engine.sequence import Sequence, State

PREFILL_BESIDE_DECODE = 128
"""Most prefill tokens in a step while others stream, so that their next token is not held up for long."""
HEADROOM = 16
"""Cells left free for each running sequence when another is admitted, so that it is not preempted at once."""
TAIL_KEPT = 64
"""An idle sequence that goes on for more tokens than this past the shared prefix is copied, not cut."""


class Memory(Protocol):
    """The KV cache. Both return how many leading tokens `slot` holds now: fewer than asked where the model cannot."""

    def cut(self, slot: int, keep: int) -> int: ...
    def copy(self, source: int, slot: int, length: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The KV cache has `slots` sequence ids and `cells` tokens; `running` sequences run, `batch` tokens a step."""

    slots: int
    cells: int
    running: int
    batch: int


class Chunk(NamedTuple):
    """`length` tokens of `sequence` from position `start`; with `output`, the logits of the last one are sampled."""

    sequence: Sequence
    start: int
    length: int
    output: bool


class Scheduler:
    """Owns the waiting and running sequences and the index of resident ones."""

    def __init__(self, limits: Limits, memory: Memory) -> None:
        self.limits = limits
        self.memory = memory
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.residents: dict[int, Resident] = {}
        self.step = 0

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.running)

    def submit(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def end(self, sequence: Sequence) -> None:
        """Take a sequence out, wherever it is; what it has in the KV cache stays as an idle resident."""
        if sequence.state is State.WAITING:
            self.waiting.remove(sequence)
        elif sequence.state is not State.DONE:
            self.running.remove(sequence)
            self._leave(sequence)
        sequence.state = State.DONE

    def plan(self) -> tuple[list[Chunk], list[Sequence]]:
        """The chunks of the next step, and the sequences that were admitted for it."""
        self.step += 1
        admitted = self._admit() if self.waiting else []
        self._make_room()
        chunks = [Chunk(s, s.n_past, 1, True) for s in self.running if s.state is State.DECODE]
        if len(chunks) < len(self.running):
            room = self.limits.batch - len(chunks)
            budget = min(room, PREFILL_BESIDE_DECODE) if chunks else room
            chunks += self._prefill(min(budget, self._free_cells() - len(chunks)))
        return chunks, [s for s in admitted if s.state is not State.WAITING]

    def commit(self, chunks: list[Chunk], sampled: Mapping[int, int]) -> None:
        """The chunks are in the KV cache; `sampled` holds the new token by sequence id."""
        for chunk in chunks:
            sequence = chunk.sequence
            sequence.n_past += chunk.length
            if chunk.output:
                sequence.state = State.DECODE
                sequence.tokens.append(sampled[sequence.id])
            resident = self.residents[sequence.slot]
            resident.n_past = sequence.n_past
            resident.used_at = self.step

    def preempt(self) -> Sequence | None:
        """Send the latest admitted sequence back to the head of the queue; None if only one is running."""
        if len(self.running) < 2:
            return None
        sequence = self.running.pop()
        self._drop(self.residents[sequence.slot])
        sequence.slot, sequence.n_past, sequence.state = -1, 0, State.WAITING
        self.waiting.appendleft(sequence)
        return sequence

    def evict(self) -> bool:
        """Drop the idle resident that was unused for longest; False if there is none."""
        order = eviction_order(self.residents.values())
        if order:
            self._drop(order[0])
        return bool(order)

    def _admit(self) -> list[Sequence]:
        admitted = []
        while self.waiting and len(self.running) < self.limits.running and self._fits(self.waiting[0]):
            sequence = self.waiting.popleft()
            self._place(sequence)
            self.running.append(sequence)
            admitted.append(sequence)
        return admitted

    def _fits(self, sequence: Sequence) -> bool:
        idle = sum(r.n_past for r in self.residents.values() if not r.busy)
        promised = sum(s.pending + HEADROOM for s in self.running)
        return len(sequence.tokens) + 1 + promised <= self._free_cells() + idle or not self.running

    def _place(self, sequence: Sequence) -> None:
        """Give it a slot, with as much of its prompt in it as a resident sequence can lend."""
        match = best_match(self.residents.values(), sequence.owner, sequence.tokens)
        if match is not None and self._continues(match):
            slot, kept = match.resident.slot, self.memory.cut(match.resident.slot, match.length)
        else:
            slot = self._take_slot(spare=match.resident if match else None)
            kept = self.memory.copy(match.resident.slot, slot, match.length) if match else 0
        self.residents[slot] = Resident(slot, sequence.owner, sequence.tokens, kept, True, self.step)
        sequence.slot, sequence.n_past, sequence.state = slot, kept, State.PREFILL
        sequence.n_cached = min(kept, sequence.n_prompt) if sequence.admitted_at_step < 0 else sequence.n_cached
        sequence.admitted_at_step = self.step

    def _continues(self, match: Match) -> bool:
        """Whether the matched sequence is cut and continued rather than copied."""
        if match.resident.busy:
            return False
        tail = match.resident.n_past - match.length
        only_this_could_go = len(self.residents) == self.limits.slots and self._idle_count() == 1
        return tail <= TAIL_KEPT or only_this_could_go

    def _idle_count(self) -> int:
        return sum(not r.busy for r in self.residents.values())

    def _take_slot(self, spare: Resident | None) -> int:
        if len(self.residents) == self.limits.slots:
            order = eviction_order(r for r in self.residents.values() if r is not spare)
            self._drop(order[0])
        return next(slot for slot in range(self.limits.slots) if slot not in self.residents)

    def _make_room(self) -> None:
        """Evict idle residents, then preempt, until each decoding sequence has a cell for its next token."""
        free = self._free_cells()
        if free >= self.limits.batch + len(self.running):
            return
        while self._free_cells() < sum(s.pending for s in self.running) and self.evict():
            pass
        while self._free_cells() < max(1, self._decoding()) and self.preempt():
            pass

    def _decoding(self) -> int:
        return sum(s.state is State.DECODE for s in self.running)

    def _prefill(self, budget: int) -> list[Chunk]:
        chunks = []
        for sequence in self.running:
            if sequence.state is State.PREFILL and budget > 0:
                count = min(sequence.pending, budget)
                chunks.append(Chunk(sequence, sequence.n_past, count, count == sequence.pending))
                budget -= count
        return chunks

    def _free_cells(self) -> int:
        """Counts a shared prefix once for each sequence that holds it: too few rather than too many."""
        return self.limits.cells - sum(r.n_past for r in self.residents.values())

    def _leave(self, sequence: Sequence) -> None:
        resident = self.residents[sequence.slot]
        if sequence.n_past == 0:
            self._drop(resident)
            return
        resident.tokens, resident.n_past = sequence.tokens[: sequence.n_past], sequence.n_past
        resident.busy, resident.used_at = False, self.step

    def _drop(self, resident: Resident) -> None:
        self.memory.cut(resident.slot, 0)
        del self.residents[resident.slot]
