"""The step: plan, decode, commit. Joins the pure scheduler with llama.cpp and says what came of it.

It runs in the worker's main thread and touches no socket.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoshikage.engine import sampler
from hoshikage.engine.cache import Cache
from hoshikage.engine.draft import Drafter
from hoshikage.engine.encoder import Encoder
from hoshikage.engine.llama.batch import Batch, Rows
from hoshikage.engine.llama.model import Model
from hoshikage.engine.logprobs import Logprobs
from hoshikage.engine.output import TextOutput
from hoshikage.engine.picker import Picker
from hoshikage.engine.pictures import Picture, without
from hoshikage.engine.scheduler import Chunk, Scheduler
from hoshikage.engine.sequence import Sequence
from hoshikage.engine.speaker import End, Item, Token, Voice
from hoshikage.engine.wire import Cancel, Counters, Generate, Refused, Started
from hoshikage.errors import RequestError, SequenceFailed

if TYPE_CHECKING:
    from hoshikage.engine.guidance import Matcher

now = time.perf_counter_ns


@dataclass(frozen=True, slots=True)
class Request:
    """A command to generate, with its tokens, the images among them and the matcher of its constraint."""

    command: Generate
    tokens: list[int]
    pictures: tuple[Picture, ...] = ()
    matcher: "Matcher | None" = None


@dataclass(slots=True, eq=False)
class Running:
    """What the loop keeps for a sequence beside the scheduler's part of it."""

    sequence: Sequence
    voice: Voice
    picker: Picker


@dataclass(slots=True)
class Counts:
    """Since the start. Times in nanoseconds, measured around the calls."""

    decodes: int = 0
    decoded: int = 0
    sampled: int = 0
    decode_ns: int = 0
    host_ns: int = 0
    sample_ns: int = 0


class Loop:
    """Owns the scheduler, the batch and the cache; no sequence grows over `window` tokens."""

    def __init__(
        self,
        model: Model,
        cache: Cache,
        scheduler: Scheduler,
        window: int,
        drafter: Drafter | None,
        encoder: Encoder | None = None,
    ) -> None:
        self.model = model
        self.cache = cache
        self.window = window
        self.scheduler = scheduler
        self.drafter = scheduler.drafter = drafter
        self.encoder = encoder
        self.counts = Counts()
        self._batch = Batch(scheduler.limits.batch)
        self._active: dict[int, Running] = {}
        self._step_ended_at = 0

    @property
    def busy(self) -> bool:
        return self.scheduler.busy

    def take(self, item: Request | Cancel) -> list[Item]:
        """Take one command in; what is to be said about it at once."""
        if isinstance(item, Request):
            return self._submit(item)
        return self._finish(self._active[item.id], "cancel") if item.id in self._active else []

    def step(self) -> list[Item]:
        """Decode one batch; what is to be said about it."""
        chunks, admitted = self.scheduler.plan()
        said = [self._started(s) for s in admitted]
        if self.encoder and (awaited := self.scheduler.awaited):
            if awaited.failure:
                return [*said, self._unseen(awaited)]  # what is planned may be its sequence's, which is gone
            self.encoder.want(awaited)
            if not chunks:
                self.encoder.wait()
        elif not chunks:
            said += self._starved()
        if not chunks:
            return said
        planned, rows = now(), self._fill(chunks)
        seen = chunks[0].picture
        if not self._decode(causal=not (seen and seen.whole)):
            self._after_full_cache()
            return said
        drawn = self._sample(rows)
        elapsed = now() - planned
        self.scheduler.commit(chunks, drawn, elapsed)
        if self.drafter and len(rows) == len(chunks):
            self.drafter.learn({chunk.sequence.id: chunk.length for chunk in chunks}, elapsed)
        for chunk, _ in rows:
            said += self._tokens(self._active[chunk.sequence.id], chunk, drawn[chunk.sequence.id])
        return said

    def _unseen(self, picture: Picture) -> Refused:
        """A sequence whose picture cannot be encoded ends."""
        running = next(each for each in self._active.values() if picture in each.sequence.pictures)
        self._finish(running, "cancel")
        return Refused(id=running.voice.id, reason=picture.failure)

    def save_one(self) -> bool:
        """Write a snapshot of one idle sequence that has none; False if there is no such sequence."""
        resident = self.scheduler.residents.unsaved()
        if resident is not None:
            self.cache.save(resident)
        return resident is not None

    def save_all(self) -> None:
        """Write snapshots of all that is in the cache: the worker ends."""
        for running in list(self._active.values()):
            self._finish(running, "cancel")
        if self.encoder:
            self.encoder.finish()
        while self.save_one():
            pass

    def refuse_all(self, reason: str) -> list[Item]:
        """The context is broken: every sequence ends."""
        return [Refused(id=id_, reason=reason) for id_ in self._active]

    def _submit(self, request: Request) -> list[Item]:
        command, tokens = request.command, request.tokens
        limit = min(command.num_ctx or self.window, self.window)
        if not tokens:
            return [Refused(id=command.id, reason="the prompt has no tokens")]
        if len(tokens) >= limit:
            reason = "the prompt is longer than the window"
            return [Refused(id=command.id, reason=reason, tokens=len(tokens), limit=limit)]
        if too_long := [each for each in request.pictures if each.whole and each.end - each.start > self._batch.size]:
            length, batch = too_long[0].end - too_long[0].start, self._batch.size
            reason = f"an image has {length} positions, to be evaluated at once, and a batch {batch}: raise N_BATCH"
            return [Refused(id=command.id, reason=reason, code=RequestError.code)]
        sequence = Sequence(command.id, command.owner, tokens, limit, command.max_tokens, command.sampling.seed >= 0)
        sequence.pictures = request.pictures
        voice = self._voice(command, len(tokens))
        chain = sampler.chain(command.sampling, self.model)
        chain.accept(without(sampler.penalised(tokens, command.sampling)))
        picker = Picker(chain, request.matcher, keeps_logits=command.logprobs is not None)
        self._active[command.id] = Running(sequence, voice, picker)
        self.scheduler.submit(sequence)
        if self.drafter and command.sampling.seed < 0 and not request.pictures:
            self.drafter.open(command.id)
        return []

    def _voice(self, command: Generate, n_prompt: int) -> Voice:
        logprobs = None if command.logprobs is None else Logprobs(command.logprobs, self.model.piece)
        output = TextOutput(command.stop)
        return Voice(command.id, output, n_prompt, command.return_tokens, now(), logprobs)

    def _started(self, sequence: Sequence) -> Item:
        running = self._active[sequence.id]
        voice = running.voice
        voice.n_cached, voice.reuse, voice.started_at = sequence.n_cached, sequence.reuse.value, now()
        return Started(
            id=sequence.id,
            prompt_tokens=sequence.n_prompt,
            cached=sequence.n_cached,
            limit=sequence.limit,
            allocated=self.cache.context.cells,
            warnings=running.picker.warnings,
        )

    def _fill(self, chunks: list[Chunk]) -> list[tuple[Chunk, int]]:
        """Put the chunks into the batch. Returns those to be sampled, with their first row."""
        batch, rows = self._batch, []
        batch.clear()
        for chunk in chunks:
            sequence, draft = chunk.sequence, chunk.draft
            if chunk.picture:
                row = self._put(chunk, chunk.picture)
            elif chunk.length == 1 and chunk.output:
                row = batch.add(sequence.tokens[chunk.start], chunk.start, sequence.slot)
            else:
                tokens = [*sequence.tokens[chunk.start : chunk.start + chunk.length], *draft]
                outputs = 1 + len(draft) if chunk.output else 0
                row = batch.add_many(tokens, chunk.start, sequence.slot, outputs=outputs)
            if chunk.output:
                rows.append((chunk, row))
        return rows

    def _put(self, chunk: Chunk, picture: Picture) -> int:
        first, slot, outputs = chunk.start - picture.start, chunk.sequence.slot, int(chunk.output)
        assert isinstance(picture.rows, Rows)  # noqa: S101  the scheduler waits for them
        return self._batch.put_rows(picture.rows, first, chunk.length, chunk.start, slot, outputs=outputs)

    def _decode(self, *, causal: bool) -> bool:
        counts, started = self.counts, now()
        if self._step_ended_at:
            counts.host_ns += started - self._step_ended_at
        done = self.cache.context.decode(self._batch, causal=causal)
        self._step_ended_at = now()
        counts.decode_ns += self._step_ended_at - started
        counts.decodes += 1
        counts.decoded += self._batch.length
        return done

    def _sample(self, rows: list[tuple[Chunk, int]]) -> dict[int, list[int]]:
        started = now()
        drawn = {chunk.sequence.id: self._draw(chunk, row) for chunk, row in rows}
        self.counts.sample_ns += now() - started
        self.counts.sampled += sum(map(len, drawn.values()))
        return drawn

    def _draw(self, chunk: Chunk, row: int) -> list[int]:
        """A token from the first row, and from each further one as long as the guess before it came true."""
        picker, context = self._active[chunk.sequence.id].picker, self.cache.context
        drawn = [picker.pick(context, row)]
        for guess in chunk.draft:
            if drawn[-1] != guess or self.model.ends(guess) or picker.failure:
                break
            row += 1
            drawn.append(picker.pick(context, row))
        return drawn

    def _tokens(self, running: Running, chunk: Chunk, tokens: list[int]) -> list[Item]:
        voice, sequence = running.voice, running.sequence
        if chunk.draft and self.drafter:
            voice.n_drafted += len(chunk.draft)
            voice.n_accepted += len(tokens) - 1
            self.drafter.count(len(chunk.draft), len(tokens) - 1)
        ended = self.model.ends(tokens[-1]) or bool(running.picker.failure)
        if ended:
            sequence.tokens.pop()
            tokens = tokens[:-1]
        kept = running.picker.logits
        said: list[Item] = [Token(voice, t, self._step_ended_at, kept.popleft() if kept else None) for t in tokens]
        complete = ended or running.picker.complete
        if complete or sequence.full:
            said += self._finish(running, "stop" if complete else "length")
        return said

    def _finish(self, running: Running, reason: str) -> list[Item]:
        sequence, voice = running.sequence, running.voice
        self.scheduler.end(sequence)
        if self.drafter:
            self.drafter.close(sequence.id)
        del self._active[sequence.id]
        running.picker.close()
        if not self.busy:
            self._step_ended_at = 0
        if running.picker.failure:
            return [Refused(id=sequence.id, reason=running.picker.failure)]
        voice.n_evaluated = sequence.n_evaluated
        return [End(voice, reason, tuple(without(sequence.tokens)) if voice.return_tokens else ())]

    def _starved(self) -> list[Item]:
        """No sequence finds a cell: the latest ends, so that the others go on."""
        running = self._active[self.scheduler.running[-1].id]
        self._finish(running, "cancel")
        return [Refused(id=running.voice.id, reason="there is no memory for a KV cache of its length")]

    def _after_full_cache(self) -> None:
        """The cache is more fragmented than the scheduler's count: make room and try again."""
        if not self.scheduler.residents.evict() and not self.scheduler.preempt():
            raise SequenceFailed(reason="the KV cache has no room for the batch")

    def counters(self, id_: int, step_ns: int) -> Counters:
        """For the reader thread too: nothing but numbers is looked at."""
        c, drafter = self.counts, self.drafter
        return Counters(
            id=id_,
            decodes=c.decodes,
            tokens_decoded=c.decoded,
            tokens_sampled=c.sampled,
            decode_ns=c.decode_ns,
            host_ns=c.host_ns,
            sample_ns=c.sample_ns,
            step_ns=step_ns,
            running=len(self.scheduler.running),
            waiting=len(self.scheduler.waiting),
            allocated=self.cache.context.cells,
            resident=len(self.scheduler.residents.by_slot),
            drafted=drafter.drafted if drafter else 0,
            accepted=drafter.accepted if drafter else 0,
        )
