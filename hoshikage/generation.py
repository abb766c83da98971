"""What chat and completion have in common: from a prompt and its options to deltas. Knows no dialect and no HTTP."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from msgspec import structs

from hoshikage.admission import Admission
from hoshikage.conversation import Delta, Finished, Options, Request, Started, TextDelta, Usage
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.errors import EngineCrashed, FileMissing, RequestError, Unsupported
from hoshikage.models.entry import Entry
from hoshikage.models.pool import Lease, Pool
from hoshikage.models.registry import Registry
from hoshikage.ramdisk.place import GB
from hoshikage.sampling import merged
from hoshikage.settings import Settings

INT32_MAX = 2**31 - 1
LOAD_OPTIONS = {
    "num_batch": "n_batch",
    "num_thread": "n_threads",
    "num_gpu": "n_gpu_layers",
    "main_gpu": "main_gpu",
    "use_mmap": "use_mmap",
}
"""A request's options that count when it loads the model, and the fields of wire.Load they set."""

NO_PROJECTOR = (
    "images: it has no projector (mmproj); make a model that has one by a Modelfile with two FROM lines, the model's"
    " file and the projector's"
)

log = logging.getLogger("hoshikage.generation")


@dataclass(frozen=True, slots=True)
class Backend:
    """Which models there are, the loaded ones, how models are loaded, and who may ask them."""

    registry: Registry
    pool: Pool
    settings: Settings
    admission: Admission

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
            n_threads_batch=self.settings.n_threads_batch if options.get("num_thread") is None else 0,
            n_gpu_layers=whole(options, "num_gpu", self.settings.n_gpu_layers, least=-1),
            main_gpu=whole(options, "main_gpu", self.settings.main_gpu, least=-1),
            tensor_split=self.settings.tensor_split,
            split_mode=self.settings.split_mode,
            flash=self.settings.flash_attention,
            type_k=self.settings.kv_type_k,
            type_v=self.settings.kv_type_v,
            mlock=self.settings.mlock,
            num_parallel=self.settings.num_parallel,
            use_mmap=options.get("use_mmap") is not False,
            kv_bytes=int((self.settings.kv_memory_gb or 0) * GB),
            step_ms=self.settings.step_budget_ms,
            speculation=self.settings.speculation,
            draft_path=self._draft_path(entry),
            adapters=entry.stored.adapters,
            projector=next(iter(entry.stored.projectors), ""),
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

    Both are done in a thread, since a template of a stranger's may take seconds. `context` is put before the text, and
    `images` stand in it where it has their `mark`.
    """

    text: Callable[[], Callable[[wire.Ready], str]]
    context: tuple[int, ...] = ()
    return_tokens: bool = False
    images: tuple[bytes, ...] = ()
    mark: str = ""


async def generate(backend: Backend, entry: Entry, request: Request, prompt: Prompt) -> AsyncGenerator[Delta, None]:
    """The deltas of one generation, Started first and Finished last.

    Raises ModelError, RequestError, QuotaExceeded or EngineError, before Started where that can be known.
    """
    if request.constraint is not None:
        request.constraint.check()
    options = {**request.defaults, **entry.parameters, **request.options}
    sampling = merged(options)
    ceiling, most = whole(options, "num_ctx", 0, least=0), whole(options, "num_predict", -1, least=-INT32_MAX)
    command = wire.Generate(
        id=0,
        owner=request.owner,
        prompt="",
        sampling=sampling,
        max_tokens=most if most > 0 else -1,
        num_ctx=ceiling,
        stop=stops(entry, options),
        context=prompt.context,
        return_tokens=prompt.return_tokens,
        constraint=request.constraint,
        logprobs=request.logprobs,
        images=prompt.images,
        mark=prompt.mark,
    )
    wanted = backend.load(entry, options)
    with backend.admission.enter(request.owner) as ticket:
        text = await asyncio.to_thread(prompt.text)

        async def attempt() -> AsyncGenerator[Delta, None]:
            async with backend.pool.acquire(entry.name, wanted, request.keep_alive, ceiling) as lease:
                warnings = unmet(lease.engine, wanted, options)
                rendered = await asyncio.to_thread(text, lease.engine.ready)
                async with aclosing(lease.engine.generate(structs.replace(command, prompt=rendered))) as events:
                    async for event in events:
                        ticket.begin()  # the first is Started
                        yield _delta(event, lease, warnings)

        async with aclosing(replayed(attempt, entry.name)) as deltas:
            async for delta in deltas:
                yield delta


async def replayed(attempt: Callable[[], AsyncGenerator[Delta, None]], name: str) -> AsyncGenerator[Delta, None]:
    """The deltas of an attempt; when its worker crashes before any text has come, those of a second one go on.

    Never a third: a request that crashes its worker must not do so again and again.
    """
    started = begun = False
    try:
        async with aclosing(attempt()) as deltas:
            async for delta in deltas:
                started, begun = True, not isinstance(delta, Started)
                yield delta
            return
    except EngineCrashed as error:
        if begun:
            raise
        log.warning("%s: %s; a request without text yet is sent again", name, error)
    async with aclosing(attempt()) as deltas:
        async for delta in deltas:
            if not (started and isinstance(delta, Started)):
                yield delta


def check_generates(entry: Entry, name: str, what: str) -> None:
    """Raises Unsupported, with the `name` that was asked for, if the model is one for embeddings."""
    if "completion" not in entry.capabilities:
        raise Unsupported(model=name, capability=what)


def check_sees(entry: Entry, name: str, images: Sequence[object]) -> None:
    """Raises Unsupported, with the `name` that was asked for, if images are sent to a model without a projector."""
    if images and "vision" not in entry.capabilities:
        raise Unsupported(model=name, capability=NO_PROJECTOR)


async def load(
    backend: Backend, entry: Entry, owner: str, keep_alive: float | None, options: Options
) -> tuple[str, ...]:
    """Load a model without asking it anything; returns warnings of what was not done as it was asked for."""
    wanted, ceiling = backend.load(entry, options), whole(options, "num_ctx", 0, least=0)
    with backend.admission.enter(owner):
        async with backend.pool.acquire(entry.name, wanted, keep_alive, ceiling) as lease:
            return unmet(lease.engine, wanted, options)


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


def unmet(engine: Engine, wanted: wire.Load, options: Options) -> tuple[str, ...]:
    """Warnings of load options that the model, loaded already, was not loaded with, and of how it was loaded."""
    loaded = engine.load
    differing = (name for name, part in LOAD_OPTIONS.items() if getattr(loaded, part) != getattr(wanted, part))
    ignored = tuple(f"option-ignored={name}" for name in differing if options.get(name) is not None)
    return (*ignored, *engine.ready.warnings)


def _delta(event: wire.Event, lease: Lease, warnings: tuple[str, ...]) -> Delta:
    if isinstance(event, wire.Text):
        return TextDelta(event.text, event.logprobs)
    if isinstance(event, wire.Started):
        return Started(
            prompt_tokens=event.prompt_tokens,
            cached_tokens=event.cached,
            limit=event.limit,
            warnings=(*event.warnings, *warnings),
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
