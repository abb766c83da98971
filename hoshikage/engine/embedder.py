"""Embeddings and rerank scores, a call at a time, so that the streams of the same model wait for no more than one.

The reader thread prepares a job, the main thread evaluates it. Knows no socket.
"""

import sys
import time
from array import array
from collections import deque

from hoshikage.engine.inputs import Fitted, fit, fit_pair
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.model import Model
from hoshikage.engine.llama.pooled import Pooled, Pooling, Traits, traits
from hoshikage.engine.llama.specials import specials
from hoshikage.engine.packing import PACK_TOKENS, SEQUENCES, Packer, Part, finished
from hoshikage.engine.tokens import check_known
from hoshikage.engine.wire import Counters, Refused
from hoshikage.engine.wire_pooled import Embed, Embeddings, Rerank, Scores
from hoshikage.errors import HoshikageError, Unsupported

CHUNK, CHUNK_LEAST = 512, 32
"""Most tokens of a long input in one call; while streams run as many as the time they may wait allows."""
IDLE_SECONDS = 30.0
"""How long the second context of a model that generates stays without work."""
now = time.perf_counter_ns


class Job:
    """One command and its fitted inputs; vectors are gathered as the inputs are evaluated."""

    def __init__(self, command: Embed | Rerank, inputs: list[Fitted]) -> None:
        self.command = command
        self.inputs = inputs
        self.packer = Packer([each.tokens for each in inputs])
        self.eval_ns = 0
        self._vectors: list[array[float]] = []

    @property
    def longest(self) -> int:
        """Tokens of the longest input."""
        return max((len(each.tokens) for each in self.inputs), default=0)

    def add(self, part: Part, vector: "array[float]") -> None:
        """The vector of an input's last part is the input's."""
        if self.packer.complete(part):
            self._vectors.append(vector)

    def answer(self) -> Embeddings | Scores:
        """Raises RequestError where a vector holds NaN or infinity."""
        counts = tuple(len(each.tokens) for each in self.inputs)
        cut = tuple(each.truncated for each in self.inputs)
        command, id_, spent = self.command, self.command.id, self.eval_ns
        if isinstance(command, Rerank):
            scores = tuple(float(vector[0]) for vector in self._vectors)
            return Scores(id=id_, scores=scores, tokens=counts, truncated=cut, eval_ns=spent)
        made = (finished(each, command.dimensions, normalise=command.normalise) for each in self._vectors)
        vectors = tuple(little_endian(vector) for vector in made)
        return Embeddings(id=id_, vectors=vectors, tokens=counts, truncated=cut, eval_ns=spent)


class Embedder:
    """Owns the pooled context of one model: made on need, larger when an input needs it, closed when idle.

    A call beside a stream is sized to take `budget_ns`, by what a token of the last call took.
    """

    def __init__(
        self, model: Model, computing: Computing, *, window: int, budget_ns: int, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.model = model
        self.window = window
        self.traits: Traits = traits(model)
        self.calls = self.evaluated = 0
        self._computing = computing
        self._idle_seconds = idle_seconds
        self._budget_ns = budget_ns
        self._token_ns = budget_ns // (2 * CHUNK_LEAST)
        self._specials = specials(model)
        self._jobs: deque[Job] = deque()
        self._context: Pooled | None = None
        self._idle_since = 0.0

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def counters(self, id_: int, step_ns: int) -> Counters:
        """Of a worker that only evaluates."""
        jobs = len(self._jobs)
        return Counters(
            id=id_,
            decodes=self.calls,
            tokens_decoded=self.evaluated,
            tokens_sampled=0,
            decode_ns=0,
            host_ns=0,
            sample_ns=0,
            step_ns=step_ns,
            running=min(jobs, 1),
            waiting=max(jobs - 1, 0),
        )

    def prepare(self, command: Embed | Rerank) -> Job:
        """Tokenize and fit; for the reader thread. Raises Unsupported, InputTooLong or RequestError."""
        rank = self.traits.pooling is Pooling.RANK
        if isinstance(command, Rerank) != rank:
            raise Unsupported(model=self.model.name, capability="embeddings" if rank else "rerank")
        limit = min(command.num_ctx or self.window, self.window)
        if isinstance(command, Rerank):
            return Job(command, self._pairs(command, limit))
        return Job(command, [self._input(each, limit, truncate=command.truncate) for each in command.inputs])

    def take(self, job: Job) -> None:
        self._jobs.append(job)

    def cancel(self, id_: int) -> None:
        """Drop a job; what is being evaluated of it is the last."""
        self._jobs = deque(job for job in self._jobs if job.command.id != id_)

    def step(self, *, beside_decode: bool) -> list[Embeddings | Scores | Refused]:
        """One call for one of the jobs, in turn; its answer if that was the last."""
        job = self._jobs[0]
        try:
            if not job.packer.done:
                self._evaluate(job, self._chunk() if beside_decode else CHUNK)
            if not job.packer.done:
                if not job.packer.inside:
                    self._jobs.rotate(-1)
                return []
            said: Embeddings | Scores | Refused = job.answer()
        except HoshikageError as error:
            said = refused(job.command.id, error)
        self._jobs.remove(job)
        self._idle_since = time.monotonic()
        return [said]

    def open(self, tokens: int = PACK_TOKENS) -> Pooled:
        """A context with room for an input of `tokens` tokens. Raises LoadFailed."""
        tokens = max(tokens, PACK_TOKENS)
        if self._context is None or self._context.tokens < tokens:
            self.close()
            size = 1 << (tokens - 1).bit_length()
            self._context = Pooled(self.model, self.traits, self._computing, tokens=size, sequences=SEQUENCES)
        return self._context

    def close(self) -> None:
        if self._context:
            self._context.close()
            self._context = None

    def rest(self) -> bool:
        """Close the context of a model that generates, once it has had no work for a while; False if there is none."""
        if self._context is None or not self.traits.generates:
            return False
        if not self._jobs and time.monotonic() - self._idle_since >= self._idle_seconds:
            self.close()
        return self._context is not None

    def refuse_all(self, reason: str) -> list[Refused]:
        return [Refused(id=job.command.id, reason=reason) for job in self._jobs]

    def _evaluate(self, job: Job, most: int) -> None:
        context, started = self.open(job.longest), now()
        if not job.packer.inside:
            context.forget()
        parts = job.packer.call(most, context.sequences, chunked=context.chunked)
        vectors = context.evaluate([(part.position, part.tokens) for part in parts])
        for part, vector in zip(parts, vectors, strict=True):
            job.add(part, vector)
        spent, count = now() - started, sum(len(part.tokens) for part in parts)
        self._token_ns = max(1, spent // count)
        job.eval_ns += spent
        self.calls += 1
        self.evaluated += count

    def _chunk(self) -> int:
        return max(CHUNK_LEAST, min(CHUNK, self._budget_ns // self._token_ns))

    def _input(self, given: str | tuple[int, ...], limit: int, *, truncate: bool) -> Fitted:
        if isinstance(given, str):
            tokens = self.model.tokenize(given, add_special=True)
        else:
            tokens = list(given)
            check_known(tokens, self.model)
        return fit(tokens, limit, self._specials.after, truncate=truncate)

    def _pairs(self, command: Rerank, limit: int) -> list[Fitted]:
        marks = self._specials
        query = self._plain(command.query)
        front, back = [*marks.before, *query, *marks.between], [*marks.after]
        return [
            fit_pair(front, self._plain(document), back, limit, truncate=command.truncate)
            for document in command.documents
        ]

    def _plain(self, text: str) -> list[int]:
        return self.model.tokenize(text, add_special=False, parse_special=False)


def refused(id_: int, error: HoshikageError) -> Refused:
    """The event that lets the other side raise the same error."""
    data = error.data
    reason = str(data.get("capability") or data.get("reason") or error)
    tokens, limit = data.get("tokens", 0), data.get("limit", 0)
    assert isinstance(tokens, int) and isinstance(limit, int)  # noqa: S101
    return Refused(id=id_, reason=reason, code=error.code, tokens=tokens, limit=limit)


def little_endian(vector: "array[float]") -> bytes:
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector.tobytes()
