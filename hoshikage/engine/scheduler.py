"""Decides which tokens go into the next batch. Pure: it knows tokens, and residents that own the KV cells.

A step is `plan()`, the decode of the plan's chunks, `commit()`. Running sequences come first, the rest of the batch is
prefill (chunked prefill as in arXiv:2308.16369). A sequence for which no cell is left goes back to the queue, its
state in a snapshot (preemption, arXiv:2309.06180).
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from hoshikage.engine import exact
from hoshikage.engine.pace import Pace
from hoshikage.engine.pictures import Picture
from hoshikage.engine.prefix import common_prefix
from hoshikage.engine.residents import Limits, Memory, Residents
from hoshikage.engine.sequence import Sequence, State

HEADROOM = 16
"""Cells left free for each running sequence when another is admitted, so that it is not preempted at once."""
OVERTAKES = 8
"""How many later requests may be admitted before a waiting one."""
LOOK_AHEAD = 16
"""Waiting requests that are looked at a step."""
PREFIX_GAIN = 32
"""Tokens that a request must save to wait for another one's prefill of their common prefix."""
STEP_BUDGET_NS = 300_000_000
DRAFTED_AT_MOST = 2
"""Decoding sequences beyond which nothing is drafted: a full batch has no time to spare."""


class Chunk(NamedTuple):
    """`length` tokens of `sequence` from position `start`, the last of them the guess `draft`.

    With `output`, the logits of the last one before the guess and of the whole guess are sampled. One of a `picture` is
    alone in its step, since its rows are no tokens.
    """

    sequence: Sequence
    start: int
    length: int
    output: bool
    draft: tuple[int, ...] = ()
    picture: Picture | None = None


class Drafter(Protocol):
    """Guesses how sequences go on."""

    def draft(self, sequence: Sequence, others: int) -> tuple[int, ...]:
        """The guess that pays in a step in which `others` decode too; empty if none does."""
        ...


class Scheduler:
    """Owns the waiting and running sequences, and the residents. `awaited` is the picture to be encoded next."""

    def __init__(self, limits: Limits, memory: Memory, *, budget_ns: int = STEP_BUDGET_NS) -> None:
        self.limits = limits
        self.residents = Residents(limits, memory)
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.step = 0
        self.drafter: Drafter | None = None
        self.awaited: Picture | None = None
        self._saw = False
        self._pace = Pace(budget_ns)
        self._stops: dict[int, list[int]] = {}

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
            self.residents.leave(sequence, self.step)
        sequence.state = State.DONE

    def plan(self) -> tuple[list[Chunk], list[Sequence]]:
        """The chunks of the next step, and the sequences that were admitted for it."""
        self.step += 1
        self._stops.clear()
        admitted = self._admit() if self.waiting else []
        self._make_room()
        ahead = (s.ahead for s in self.running if s.state is State.PREFILL)
        self.awaited = next((picture for picture in ahead if picture and picture.rows is None), None)
        chunks = self._picture() or self._texts()
        return chunks, [s for s in admitted if s.state is not State.WAITING]

    def _texts(self) -> list[Chunk]:
        decoding = [s for s in self.running if s.state is State.DECODE]
        chunks = [self._next_token(s, len(decoding)) for s in decoding]
        if len(decoding) < len(self.running):
            room = self.limits.batch - len(chunks)
            budget = min(room, self._pace.chunk(len(chunks))) if chunks else room
            chunks += self._prefill(min(budget, self.residents.free - len(chunks)))
        return chunks

    def _picture(self) -> list[Chunk]:
        """The next picture that is encoded; after each one, the others have a step."""
        self._saw = not (self._saw and len(self.running) > 1)
        for sequence in self.running if self._saw else ():
            picture = sequence.ahead if sequence.state is State.PREFILL else None
            if picture and picture.rows is not None and picture.start <= sequence.n_past:
                count = self._wanted_of(picture, sequence)
                if count <= self.residents.free:
                    output = count == sequence.pending
                    return [Chunk(sequence, sequence.n_past, count, output, picture=picture)]
        self._saw = False
        return []

    def _wanted_of(self, picture: Picture, sequence: Sequence) -> int:
        left, decoding = picture.end - sequence.n_past, self._decoding()
        if picture.whole:
            return left
        return min(left, self.limits.batch, self._pace.chunk(decoding) if decoding else left)

    def commit(self, chunks: list[Chunk], sampled: Mapping[int, list[int]], elapsed_ns: int = 0) -> None:
        """The chunks are in the KV cache; `sampled` holds the new tokens by sequence id, those of drafts included."""
        prefill = 0
        for chunk in chunks:
            sequence = chunk.sequence
            if sequence.state is State.PREFILL:
                sequence.n_evaluated += chunk.length
                prefill += chunk.length
            self.residents.extend(sequence, chunk.length, self.step, alone=len(chunks) == 1)
            if chunk.picture and sequence.n_past >= chunk.picture.end:
                chunk.picture.rows = None
            if chunk.output:
                self._accept(chunk, sampled[sequence.id])
        self._pace.learn(prefill, elapsed_ns)

    def preempt(self) -> Sequence | None:
        """Send the latest admitted sequence back to the head of the queue; None if only one is running."""
        if len(self.running) < 2:
            return None
        sequence = self.running.pop()
        self.residents.put_away(self.residents.by_slot[sequence.slot])
        sequence.slot, sequence.n_past, sequence.state = -1, 0, State.WAITING
        self.waiting.appendleft(sequence)
        return sequence

    def _accept(self, chunk: Chunk, tokens: list[int]) -> None:
        sequence = chunk.sequence
        sequence.state = State.DECODE
        sequence.tokens.extend(tokens)
        vain = 1 + len(chunk.draft) - len(tokens)
        if vain:
            self.residents.cut(sequence, sequence.n_past - vain)
        if sequence.pending > 1:
            sequence.state = State.PREFILL

    def _admit(self) -> list[Sequence]:
        """In order of arrival, but that a request which cannot begin yet may be overtaken, up to OVERTAKES times."""
        admitted: list[Sequence] = []
        passed: list[Sequence] = []
        for sequence in list(self.waiting):
            if len(self.running) >= self.limits.running or len(passed) >= LOOK_AHEAD:
                break
            if any(each.overtaken >= OVERTAKES for each in passed):
                break
            if self._awaits_prefix(sequence) or not self._fits(sequence):
                passed.append(sequence)
                continue
            self._start(sequence)
            admitted.append(sequence)
            for each in passed:
                each.overtaken += 1
        return admitted

    def _start(self, sequence: Sequence) -> None:
        self.waiting.remove(sequence)
        self.residents.place(sequence, self.step)
        self.running.append(sequence)

    def _awaits_prefix(self, sequence: Sequence) -> bool:
        """Whether a running prefill is about to pass over what this prompt begins with.

        That prefill then stops at the end of the common prefix, where it can be shared under a sliding window too.
        """
        found, most = None, 0
        for other in self.running:
            if other.state is State.PREFILL and other.owner == sequence.owner:
                length = sequence.boundary(min(common_prefix(other.tokens, sequence.tokens), sequence.pending - 1))
                if length > max(most, other.n_past):
                    found, most = other, length
        if found is None:
            return False
        match = self.residents.match(sequence)
        if most < (match.length if match else 0) + PREFIX_GAIN:
            return False
        self._stops.setdefault(found.id, []).append(most)
        return True

    def _fits(self, sequence: Sequence) -> bool:
        """Whether its prompt finds cells once all idle residents are gone and the cache has grown."""
        if not self.running:
            return True
        match = self.residents.match(sequence)
        lent = match.length if match and match.resident.busy else 0
        promised = sum(s.pending + HEADROOM for s in self.running)
        needed = len(sequence.tokens) + 1 - lent + promised
        return self.residents.busy_cells + needed <= self.residents.most_cells

    def _make_room(self) -> None:
        """Evict, grow, then preempt, until each sequence has cells for this step."""
        residents = self.residents
        wanted = self.limits.batch + len(self.running)
        if residents.free >= wanted:
            return
        residents.make_room(min(wanted, sum(s.pending for s in self.running)))
        while residents.free < max(1, self._decoding()) and self.preempt():
            pass

    def _decoding(self) -> int:
        return sum(s.state is State.DECODE for s in self.running)

    def _wanted(self, sequence: Sequence) -> int:
        """How many tokens its next chunk should have: none where a picture is next."""
        wanted = sequence.pending
        if sequence.exact:
            wanted = exact.chunk(sequence.n_past, len(sequence.tokens), self.limits.batch)
        picture = sequence.ahead
        return min(wanted, max(0, picture.start - sequence.n_past)) if picture else wanted

    def _next_token(self, sequence: Sequence, decoding: int) -> Chunk:
        draft: tuple[int, ...] = ()
        if self.drafter and decoding <= DRAFTED_AT_MOST and len(self.running) == decoding and sequence.remaining > 1:
            room = min(sequence.remaining - 1, (min(self.residents.free, self.limits.batch) - decoding) // decoding)
            draft = self.drafter.draft(sequence, decoding - 1)[: max(0, room)]
        return Chunk(sequence, sequence.n_past, 1 + len(draft), True, draft)

    def _prefill(self, budget: int) -> list[Chunk]:
        chunks = []
        for sequence in self.running:
            if sequence.state is State.PREFILL and budget > 0:
                stops = [stop - sequence.n_past for stop in self._stops.get(sequence.id, ()) if stop > sequence.n_past]
                count = min(self._wanted(sequence), budget, *stops)
                if count:
                    chunks.append(Chunk(sequence, sequence.n_past, count, count == sequence.pending))
                    budget -= count
        return chunks
