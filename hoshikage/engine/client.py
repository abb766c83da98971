"""The gateway's side of one worker process: start, generate, cancel, crash -> EngineCrashed.

Never imports llama_cpp. The link is asyncio's own transport: neither a long prompt nor many streams block.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from hoshikage.engine import wire
from hoshikage.engine.wire_pooled import Embed, Embeddings, Rerank, Scores
from hoshikage.engine.wire_tokens import Count, Counted, Detokenize, Detokenized, Tokenize, Tokenized
from hoshikage.errors import (
    ConstraintRefused,
    ContextOverflow,
    EngineCrashed,
    EngineError,
    InputTooLong,
    LoadCrashed,
    LoadFailed,
    RequestError,
    SequenceFailed,
    Unsupported,
)
from hoshikage.processes import for_children

CLOSE_SECONDS = 5.0
"""How long the end of a process may lag behind the end of its connection."""
SAVE_SECONDS = 60.0
"""How long a worker may take to finish its step, save its conversations and end, before it is killed."""

READ_BYTES = 1 << 16

SPIN_COUNT = "1000"
"""How often an OpenMP thread looks again before it sleeps. GNU's default of 300,000 and more makes every step of two
engines on one machine wait for threads that spin for each other: tenfold slower and worse, for nothing gained alone."""

log = logging.getLogger("hoshikage.engine")

Inbox = asyncio.Queue[wire.Event | None]
OnProgress = Callable[[float], None]
"""Is told how much of a model is loaded, from 0 to 1."""
Question = wire.Statistics | Embed | Rerank | Count | Tokenize | Detokenize
A = TypeVar("A", wire.Counters, Embeddings, Scores, Counted, Tokenized, Detokenized)


class Link(asyncio.BufferedProtocol):
    """Frames to and from the worker. Each request id has a queue; None in it means that the worker is gone.

    It is read into one buffer: a plain Protocol gets a new one of 256 kB for every token. A worker that sends anything
    but events is not waited for: `kill` ends it, and `fault` tells what it sent.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self.fault = ""
        self._frames = wire.events()
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._inboxes: dict[int, Inbox] = {}
        self.on_progress: OnProgress | None = None
        self.greeting: asyncio.Future[wire.Event | None] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        for event in self._frames.feed(self._buffer[:nbytes]):
            if isinstance(event, wire.Loading):
                if self.on_progress:
                    self.on_progress(event.progress)
            elif isinstance(event, wire.Ready | wire.LoadRefused):
                self.greeting.set_result(event)
            elif inbox := self._inboxes.get(event.id):
                inbox.put_nowait(event)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not isinstance(exc, OSError):
            self.fault = f"it sent what is no event: {exc}"
            with contextlib.suppress(ProcessLookupError):
                self._kill()
        self.lost.set()
        if not self.greeting.done():
            self.greeting.set_result(None)
        for inbox in self._inboxes.values():
            inbox.put_nowait(None)

    def open(self, id_: int) -> Inbox:
        inbox: Inbox = asyncio.Queue()
        if self.lost.is_set():
            inbox.put_nowait(None)
        self._inboxes[id_] = inbox
        return inbox

    def close(self, id_: int) -> None:
        del self._inboxes[id_]

    def send(self, command: wire.Command) -> None:
        """Raises RequestError for what is larger than the worker takes: it would end by it."""
        if self._transport is not None and not self.lost.is_set():
            try:
                frame = wire.frame([command])
            except ValueError as error:
                most = f"an engine takes {wire.FRAME_BYTES_MAX} bytes at once: send less"
                raise RequestError(reason=f"texts and images make {error}, {most}") from error
            self._transport.write(frame)

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Engine:
    """One loaded model. `ready` tells its window and sizes, `load` how it was loaded and `name` its file; `lost` is set
    once the process is gone."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link, ready: wire.Ready, load: wire.Load) -> None:
        self.ready = ready
        self.load = load
        self.name = Path(load.path).stem
        self.lost = link.lost
        self._process = process
        self._link = link
        self._ids = itertools.count(1)

    @classmethod
    async def start(
        cls, load: wire.Load, *, timeout_seconds: float | None = None, on_progress: OnProgress | None = None
    ) -> "Engine":
        """Start a worker and load the model. Raises LoadFailed; leaves no process behind, cancelled or not."""
        try:
            process, link = await _spawn()
        except OSError as error:
            raise LoadFailed(reason=f"no worker could be started: {error}") from error
        try:
            link.on_progress = on_progress
            link.send(load)
            async with asyncio.timeout(timeout_seconds):
                greeting = await link.greeting
            return cls(process, link, await _checked(greeting, process, link, load), load)
        except TimeoutError:
            await _end(process, link, patience=0.0)
            raise LoadFailed(reason=f"not loaded within {timeout_seconds:g} seconds") from None
        except BaseException:
            await _end(process, link, patience=0.0)
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    async def generate(self, command: wire.Generate) -> AsyncGenerator[wire.Event, None]:
        """The events of one request: Started, Text…, Done. Give the command id 0; wrap in `aclosing`.

        Leaving early cancels it. Raises RequestError, SequenceFailed or EngineCrashed.
        """
        id_ = next(self._ids)
        inbox = self._link.open(id_)
        finished = False
        try:
            self._link.send(structs.replace(command, id=id_))
            while not finished:
                event = await self._checked(await inbox.get())
                finished = isinstance(event, wire.Done)
                yield event
        finally:
            self._link.close(id_)
            if not finished:
                self._link.send(wire.Cancel(id_))

    async def embed(self, command: Embed) -> Embeddings:
        """A vector for each input; give the command id 0. Being cancelled cancels it.

        Raises InputTooLong, Unsupported, RequestError, SequenceFailed or EngineCrashed.
        """
        return await self._ask(command, Embeddings)

    async def rerank(self, command: Rerank) -> Scores:
        """A score for each document; as embed()."""
        return await self._ask(command, Scores)

    async def count(self, texts: Sequence[str], *, add_special: bool = False) -> tuple[int, ...]:
        """How many tokens each text has, by one round trip that waits for no step. Raises EngineCrashed."""
        return (await self._ask(Count(id=0, texts=tuple(texts), add_special=add_special), Counted)).counts

    async def tokenize(
        self, texts: Sequence[str], *, add_special: bool = False, parse_special: bool = True
    ) -> tuple[tuple[int, ...], ...]:
        """The token ids of each text; as count()."""
        command = Tokenize(id=0, texts=tuple(texts), add_special=add_special, parse_special=parse_special)
        return (await self._ask(command, Tokenized)).tokens

    async def detokenize(self, tokens: Sequence[Sequence[int]], *, special: bool = True) -> tuple[str, ...]:
        """The text of each list of ids; as count(). Raises RequestError for an id outside the vocabulary."""
        command = Detokenize(id=0, tokens=tuple(tuple(ids) for ids in tokens), special=special)
        return (await self._ask(command, Detokenized)).texts

    async def statistics(self) -> wire.Counters:
        """The worker's counters. Raises EngineCrashed."""
        return await self._ask(wire.Statistics(0), wire.Counters)

    async def ended(self) -> None:
        """Wait until the worker is gone, and has saved what it saves."""
        await self._process.wait()

    async def close(self) -> None:
        """End the worker: all its memory goes back to the system."""
        await _end(self._process, self._link, patience=SAVE_SECONDS)

    async def _ask(self, command: Question, kind: type[A]) -> A:
        """The one answer to a command."""
        id_ = next(self._ids)
        inbox = self._link.open(id_)
        answered = False
        try:
            self._link.send(structs.replace(command, id=id_))
            event = await inbox.get()
            answered = True
            return _of_kind(await self._checked(event), kind)
        finally:
            self._link.close(id_)
            if not answered:
                self._link.send(wire.Cancel(id_))

    async def _checked(self, event: wire.Event | None) -> wire.Event:
        if event is None:
            raise EngineCrashed(reason=await _ending(self._process, self._link))
        if isinstance(event, wire.Refused):
            raise _refusal(event, self.name)
        return event


def _of_kind(event: wire.Event, kind: type[A]) -> A:
    if not isinstance(event, kind):
        raise EngineCrashed(reason="it answered something else")
    return event


def _refusal(event: wire.Refused, name: str) -> RequestError | EngineError:
    match event.code:
        case Unsupported.code:
            return Unsupported(model=name, capability=event.reason)
        case InputTooLong.code:
            return InputTooLong(tokens=event.tokens, limit=event.limit)
        case ConstraintRefused.code:
            return ConstraintRefused(field=event.field, reason=event.reason)
        case RequestError.code:
            return RequestError(reason=event.reason)
    if event.limit:
        return ContextOverflow(tokens=event.tokens, limit=event.limit)
    return SequenceFailed(reason=event.reason)


async def _spawn() -> tuple[asyncio.subprocess.Process, Link]:
    ours, theirs = socket.socketpair()
    try:
        return await _linked(ours, theirs)
    except BaseException:
        ours.close()
        raise


async def _linked(ours: socket.socket, theirs: socket.socket) -> tuple[asyncio.subprocess.Process, Link]:
    level = logging.getLevelName(log.getEffectiveLevel())
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hoshikage.engine.worker",
            str(theirs.fileno()),
            str(os.getpid()),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={
                "GOMP_SPINCOUNT": SPIN_COUNT,
                "GGML_NO_BACKTRACE": "1",
                **for_children(os.environ),
                "HOSHIKAGE_WORKER_LOG": level,
            },
        )
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(lambda: Link(process.kill), sock=ours)
    return process, link


async def _checked(
    greeting: wire.Event | None, process: asyncio.subprocess.Process, link: Link, load: wire.Load
) -> wire.Ready:
    if isinstance(greeting, wire.Ready):
        return greeting
    if isinstance(greeting, wire.LoadRefused):
        raise LoadFailed(reason=greeting.reason)
    what = " with ".join(filter(None, (load.path, *load.adapters, load.projector)))
    raise LoadCrashed(reason=f"the worker ended while loading {what}, {await _ending(process, link)}")


async def _ending(process: asyncio.subprocess.Process, link: Link) -> str:
    """How the process ended; its exit may be noticed a little later than the end of its connection."""
    if link.fault:
        return link.fault
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            code = await process.wait()
    except TimeoutError:
        return "its connection was lost"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


async def _end(process: asyncio.subprocess.Process, link: Link, *, patience: float) -> None:
    link.hang_up()
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        if process.returncode is None:
            process.kill()
        await process.wait()
