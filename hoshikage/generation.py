"""What chat and completion have in common: from a prompt and its options to deltas. Knows no dialect and no HTTP."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from msgspec import structs

from hoshikage.admission import Admission, Ticket
from hoshikage.constraints import Constraint
from hoshikage.conversation import Context, Delta, Finished, Message, Options, Request, Started, TextDelta, Usage
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.errors import EngineCrashed, FileMissing, RequestError, Unsupported
from hoshikage.fit import room
from hoshikage.fitting import Fit, Fitted, Fitter, Render, uncut
from hoshikage.images import NO_IMAGES, Images, plain
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
    """Which models there are, the loaded ones, how they are loaded, who may ask them, and how chats are made to fit."""

    registry: Registry
    pool: Pool
    settings: Settings
    admission: Admission
    fitter: Fitter = field(default_factory=Fitter)

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
    """The turns of a chat or of a single question, how they are rendered, and how they are made to fit.

    `context` is put before the text; with a `suffix`, the gap between the two is filled by the vocabulary's own tokens.
    `constrain` is told the text and tells what the answer must be, in place of the request's constraint. `images` stand
    in the text where it has their marks.
    """

    render: Render
    turns: tuple[Message, ...]
    fit: Fit = uncut
    context: tuple[int, ...] = ()
    return_tokens: bool = False
    suffix: str = ""
    constrain: Callable[[str], Constraint | None] | None = None
    images: Images = NO_IMAGES


async def generate(
    backend: Backend, entry: Entry, request: Request, prompt: Prompt, ticket: Ticket
) -> AsyncGenerator[Delta, None]:
    """The deltas of one generation that has entered, Started first and Finished last.

    Raises ModelError, RequestError or EngineError, before Started where that can be known.
    """
    if request.constraint is not None:
        request.constraint.check()
    options = {**request.defaults, **entry.parameters, **request.options}
    sampling = merged(options)
    ceiling, most = bounds(options)
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
        logprobs=request.logprobs,
        suffix=prompt.suffix,
        images=prompt.images.files,
        mark=prompt.images.mark,
    )
    wanted = backend.load(entry, options)
    await read(prompt)

    async def attempt() -> AsyncGenerator[Delta, None]:
        async with backend.pool.acquire(entry.name, wanted, request.keep_alive, ceiling) as lease:
            warnings = unmet(lease.engine, wanted, options)
            fitted = await fit(lease.engine, prompt, ceiling, most)
            told = Told(lease, fitted, (*warnings, *unseen(prompt.images, fitted)))
            constraint = prompt.constrain(fitted.text) if prompt.constrain else request.constraint
            asked = structs.replace(command, prompt=fitted.text, constraint=constraint)
            async with aclosing(lease.engine.generate(asked)) as events:
                async for event in events:
                    ticket.begin()  # the first is Started
                    yield told.delta(event)

    async with aclosing(replayed(attempt, entry.name)) as deltas:
        async for delta in deltas:
            yield delta


async def rendered(backend: Backend, entry: Entry, request: Request, prompt: Prompt) -> Fitted:
    """What generate() would send to the engine, which is not asked for an answer; the marks of images stay secret.

    Raises what generate() does."""
    options = {**request.defaults, **entry.parameters, **request.options}
    ceiling, most = bounds(options)
    wanted = backend.load(entry, options)
    await read(prompt)
    async with backend.pool.acquire(entry.name, wanted, request.keep_alive, ceiling) as lease:
        fitted = await fit(lease.engine, prompt, ceiling, most)
        return replace(fitted, text=plain(fitted.text)) if prompt.images.files else fitted


async def read(prompt: Prompt) -> None:
    """Before the model is loaded, images are checked and its template is read; either is refused where it is unusable.

    Raises RequestError, and what the render() of the prompt raises."""
    if prompt.images.files:
        await asyncio.to_thread(prompt.images.check)
    await asyncio.to_thread(prompt.render, prompt.turns)


async def fit(engine: Engine, prompt: Prompt, ceiling: int, most: int) -> Fitted:
    """The prompt as it fits into `ceiling` tokens, 0 = the window, with an answer of `most`."""
    window = engine.ready.window
    return await prompt.fit(engine, prompt.render, prompt.turns, room(min(ceiling or window, window), most))


def bounds(options: Options) -> tuple[int, int]:
    """The most tokens of prompt and answer together, 0 = the window, and of the answer. Raises RequestError."""
    return whole(options, "num_ctx", 0, least=0), whole(options, "num_predict", -1, least=-INT32_MAX)


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


def unseen(images: Images, fitted: Fitted) -> tuple[str, ...]:
    """A warning of images in turns that stay, which the template does not show."""
    given = sum(len(turn.images) for turn in fitted.turns)
    left = given - fitted.text.count(images.mark) if images.files else 0
    return (f"images-ignored={left}",) if left > 0 else ()


class Told:
    """Turns what the engine says of one request into deltas."""

    def __init__(self, lease: Lease, fitted: Fitted, warnings: tuple[str, ...]) -> None:
        self._lease = lease
        self._fitted = fitted
        self._warnings = warnings
        self._context = Context(
            tokens_in=0, tokens_sent=0, limit=0, allocated=0, turns_total=fitted.total, turns_left_out=fitted.left_out
        )

    def delta(self, event: wire.Event) -> Delta:
        if isinstance(event, wire.Text):
            return TextDelta(event.text, event.logprobs)
        if isinstance(event, wire.Started):
            return self._started(event)
        assert isinstance(event, wire.Done)  # noqa: S101  what else the client lets through is ours
        return self._finished(event)

    def _started(self, event: wire.Started) -> Started:
        counted = self._fitted.tokens if self._fitted.left_out else None
        self._context = structs.replace(
            self._context,
            tokens_in=event.prompt_tokens if counted is None else counted,
            tokens_sent=event.prompt_tokens,
            limit=event.limit,
            allocated=event.allocated,
        )
        return Started(
            prompt_tokens=event.prompt_tokens,
            cached_tokens=event.cached,
            limit=event.limit,
            context=self._context,
            warnings=(*event.warnings, *self._warnings),
        )

    def _finished(self, done: wire.Done) -> Finished:
        usage = Usage(
            prompt_tokens=done.prompt_tokens,
            cached_tokens=done.cached,
            completion_tokens=done.completion_tokens,
            load_ns=self._lease.load_ns,
            prompt_ns=done.prompt_ns,
            eval_ns=done.eval_ns,
            context=self._context,
            queue_ns=done.queue_ns,
            evaluated_tokens=done.evaluated,
            reuse=done.reuse,
            drafted_tokens=done.drafted,
            accepted_tokens=done.accepted,
        )
        return Finished(reason="length" if done.reason == "length" else "stop", usage=usage, tokens=done.tokens)
