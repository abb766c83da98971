"""The step: plan, decode, commit. Joins the pure scheduler with llama.cpp and says what came of it.

It runs in the worker's main thread and touches no socket.
"""

import time
from dataclasses import dataclass

from hoshikage.engine import sampler
from hoshikage.engine.llama.batch import Batch
from hoshikage.engine.llama.context import Context
from hoshikage.engine.llama.model import Model
from hoshikage.engine.output import TextOutput
from hoshikage.engine.picker import Picker
from hoshikage.engine.scheduler import Chunk, Limits, Scheduler
from hoshikage.engine.sequence import Sequence
from hoshikage.engine.speaker import End, Item, Token, Voice
from hoshikage.engine.wire import Cancel, Counters, Generate, Refused, Started, Statistics
from hoshikage.errors import SequenceFailed

now = time.perf_counter_ns


@dataclass(frozen=True, slots=True)
class Request:
    """A command to generate, with its tokens."""

    command: Generate
    tokens: list[int]


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
    """Owns the scheduler and the batch of one context; no sequence grows over `window` tokens."""

    def __init__(self, model: Model, context: Context, limits: Limits, window: int) -> None:
        self.model = model
        self.context = context
        self.window = window
        self.scheduler = Scheduler(limits, context)
        self.counts = Counts()
        self._batch = Batch(limits.batch)
        self._active: dict[int, Running] = {}
        self._step_ended_at = 0

    @property
    def busy(self) -> bool:
        return self.scheduler.busy

    def take(self, item: Request | Cancel | Statistics) -> list[Item]:
        """Take one command in; what is to be said about it at once."""
        if isinstance(item, Request):
            return self._submit(item)
        if isinstance(item, Cancel):
            return self._finish(self._active[item.id], "cancel") if item.id in self._active else []
        return [self._counters(item.id)]

    def step(self) -> list[Item]:
        """Decode one batch; what is to be said about it."""
        chunks, admitted = self.scheduler.plan()
        said = [self._started(s) for s in admitted]
        rows = self._fill(chunks)
        if not self._decode():
            self._after_full_cache()
            return said
        sampled = self._sample(rows)
        self.scheduler.commit(chunks, sampled)
        for id_, token in sampled.items():
            said += self._token(self._active[id_], token)
        return said

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
        sequence = Sequence(command.id, command.owner, tokens, limit, command.max_tokens)
        voice = Voice(command.id, TextOutput(command.stop), len(tokens), command.return_tokens, started_at=now())
        chain = sampler.chain(command.sampling, self.model)
        chain.accept(sampler.penalised(tokens, command.sampling))
        self._active[command.id] = Running(sequence, voice, Picker(chain))
        self.scheduler.submit(sequence)
        return []

    def _started(self, sequence: Sequence) -> Item:
        voice = self._active[sequence.id].voice
        voice.n_cached, voice.started_at = sequence.n_cached, now()
        return Started(id=sequence.id, prompt_tokens=sequence.n_prompt, cached=sequence.n_cached, limit=sequence.limit)

    def _fill(self, chunks: list[Chunk]) -> list[tuple[int, int]]:
        """Put the chunks into the batch. Returns (sequence id, row) of those to be sampled."""
        batch, rows = self._batch, []
        batch.clear()
        for chunk in chunks:
            sequence = chunk.sequence
            if chunk.length == 1 and chunk.output:
                row = batch.add(sequence.tokens[chunk.start], chunk.start, sequence.slot)
            else:
                tokens = sequence.tokens[chunk.start : chunk.start + chunk.length]
                row = batch.add_many(tokens, chunk.start, sequence.slot, output=chunk.output)
            if chunk.output:
                rows.append((sequence.id, row))
        return rows

    def _decode(self) -> bool:
        counts, started = self.counts, now()
        if self._step_ended_at:
            counts.host_ns += started - self._step_ended_at
        done = self.context.decode(self._batch)
        self._step_ended_at = now()
        counts.decode_ns += self._step_ended_at - started
        counts.decodes += 1
        counts.decoded += self._batch.length
        return done

    def _sample(self, rows: list[tuple[int, int]]) -> dict[int, int]:
        started = now()
        sampled = {id_: self._active[id_].picker.pick(self.context, row) for id_, row in rows}
        self.counts.sample_ns += now() - started
        self.counts.sampled += len(sampled)
        return sampled

    def _token(self, running: Running, token: int) -> list[Item]:
        if self.model.ends(token):
            running.sequence.tokens.pop()
            return self._finish(running, "stop")
        said: list[Item] = [Token(running.voice, token, self._step_ended_at)]
        return said + self._finish(running, "length") if running.sequence.full else said

    def _finish(self, running: Running, reason: str) -> list[Item]:
        sequence, voice = running.sequence, running.voice
        self.scheduler.end(sequence)
        del self._active[sequence.id]
        running.picker.close()
        if not self.busy:
            self._step_ended_at = 0
        return [End(voice, reason, tuple(sequence.tokens) if voice.return_tokens else ())]

    def _after_full_cache(self) -> None:
        """The cache is more fragmented than the scheduler's count: make room and try again."""
        if not self.scheduler.evict() and not self.scheduler.preempt():
            raise SequenceFailed(reason="the KV cache has no room for the batch")

    def _counters(self, id_: int) -> Counters:
        c = self.counts
        return Counters(
            id=id_,
            decodes=c.decodes,
            tokens_decoded=c.decoded,
            tokens_sampled=c.sampled,
            decode_ns=c.decode_ns,
            host_ns=c.host_ns,
            sample_ns=c.sample_ns,
            running=len(self.scheduler.running),
            waiting=len(self.scheduler.waiting),
        )
