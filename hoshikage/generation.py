"""What chat and completion have in common: from a prompt and its options to deltas. Knows no dialect and no HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from hoshikage.conversation import Delta, Finished, Options, Request, Started, TextDelta, Usage
from hoshikage.engine import wire
from hoshikage.errors import FileMissing, RequestError, Unsupported
from hoshikage.models.entry import Entry
from hoshikage.models.pool import Lease, Pool
from hoshikage.models.registry import Registry
from hoshikage.ramdisk.place import GB
from hoshikage.sampling import merged
from hoshikage.settings import Settings

INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Backend:
    """Which models there are, the loaded ones, and how models are loaded."""

    registry: Registry
    pool: Pool
    settings: Settings

    def load(self, entry: Entry, options: Options) -> wire.Load:
        """The command that loads a model; the load options of the request that comes first count.

        It names the original files; the keeper puts copies and the places of snapshots into it."""
        if (lost := entry.lost) is not None:
            raise FileMissing(path=lost)
        return wire.Load(
            path=str(entry.file),
            n_ctx=self.settings.n_ctx,
            n_batch=whole(options, "num_batch", self.settings.n_batch, least=1),
            n_threads=whole(options, "num_thread", self.settings.n_threads, least=0),
            n_gpu_layers=whole(options, "num_gpu", self.settings.n_gpu_layers, least=-1),
            num_parallel=self.settings.num_parallel,
            use_mmap=options.get("use_mmap") is not False,
            kv_bytes=int((self.settings.kv_memory_gb or 0) * GB),
            step_ms=self.settings.step_budget_ms,
            speculation=self.settings.speculation,
            draft_path=self._draft_path(entry),
            adapters=entry.stored.adapters,
        )

    def _draft_path(self, entry: Entry) -> str:
        """The file of the model that drafts for this one. Raises ModelNotFound if the setting names none."""
        if entry.stored.draft:
            return entry.stored.draft
        if self.settings.draft_model == "off":
            return ""
        file = self.registry.find(self.settings.draft_model).file
        return "" if file == entry.file else str(file)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Its template is read, and once the model is loaded rendered, since templates name its BOS and EOS.

    Both are done in a thread, since a template of a stranger's may take seconds. `context` is put before the text.
    """

    text: Callable[[], Callable[[wire.Ready], str]]
    context: tuple[int, ...] = ()
    return_tokens: bool = False


async def generate(backend: Backend, entry: Entry, request: Request, prompt: Prompt) -> AsyncGenerator[Delta, None]:
    """The deltas of one generation, Started first and Finished last.

    Raises ModelError, RequestError or EngineError, before Started where that can be known.
    """
    if request.constraint is not None:
        request.constraint.check()
    options = {**request.defaults, **entry.parameters, **request.options}
    sampling = merged(options)
    ceiling, most = whole(options, "num_ctx", 0, least=0), whole(options, "num_predict", -1, least=-INT32_MAX)
    text = await asyncio.to_thread(prompt.text)
    async with backend.pool.acquire(entry.name, backend.load(entry, options), request.keep_alive, ceiling) as lease:
        command = wire.Generate(
            id=0,
            owner=request.owner,
            prompt=await asyncio.to_thread(text, lease.engine.ready),
            sampling=sampling,
            max_tokens=most if most > 0 else -1,
            num_ctx=ceiling,
            stop=stops(entry, options),
            context=prompt.context,
            return_tokens=prompt.return_tokens,
            constraint=request.constraint,
            logprobs=request.logprobs,
        )
        async with aclosing(lease.engine.generate(command)) as events:
            async for event in events:
                yield _delta(event, lease)


def check_generates(entry: Entry, name: str, what: str) -> None:
    """Raises Unsupported, with the `name` that was asked for, if the model is one for embeddings."""
    if "completion" not in entry.capabilities:
        raise Unsupported(model=name, capability=what)


async def load(backend: Backend, entry: Entry, keep_alive: float | None, options: Options) -> int:
    """Load a model without asking it anything; returns the nanoseconds it took."""
    ceiling = whole(options, "num_ctx", 0, least=0)
    async with backend.pool.acquire(entry.name, backend.load(entry, options), keep_alive, ceiling) as lease:
        return lease.load_ns


def stops(entry: Entry, options: Options) -> tuple[str, ...]:
    """The stop strings: the request's own in place of the model's, as in Ollama."""
    given = options.get("stop")
    return tuple(str(each) for each in given) if isinstance(given, list | tuple) else tuple(entry.stop)


def whole(options: Options, name: str, default: int, *, least: int) -> int:
    """An integer option. Raises RequestError naming it and its range."""
    value = options.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= INT32_MAX:
        raise RequestError(reason=f'option "{name}" is {value!r}: it must be an integer from {least} to {INT32_MAX}')
    return value


def _delta(event: wire.Event, lease: Lease) -> Delta:
    if isinstance(event, wire.Text):
        return TextDelta(event.text, event.logprobs)
    if isinstance(event, wire.Started):
        return Started(
            prompt_tokens=event.prompt_tokens,
            cached_tokens=event.cached,
            limit=event.limit,
            warnings=event.warnings,
        )
    assert isinstance(event, wire.Done)  # noqa: S101  what else the client lets through is ours
    return _finished(event, lease.load_ns)


def _finished(done: wire.Done, load_ns: int) -> Finished:
    usage = Usage(
        prompt_tokens=done.prompt_tokens,
        cached_tokens=done.cached,
        completion_tokens=done.completion_tokens,
        load_ns=load_ns,
        prompt_ns=done.prompt_ns,
        eval_ns=done.eval_ns,
        queue_ns=done.queue_ns,
        evaluated_tokens=done.evaluated,
        reuse=done.reuse,
        drafted_tokens=done.drafted,
        accepted_tokens=done.accepted,
    )
    return Finished(reason="length" if done.reason == "length" else "stop", usage=usage, tokens=done.tokens)
