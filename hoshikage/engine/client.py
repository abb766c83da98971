"""The gateway's side of one worker process: start, generate, cancel, crash -> EngineCrashed.

Never imports llama_cpp. The link is asyncio's own transport: neither a long prompt nor many streams block.
"""

import asyncio
import itertools
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator

from hoshikage.engine import wire
from hoshikage.errors import (
    ConstraintRefused,
    ContextOverflow,
    EngineCrashed,
    EngineError,
    LoadFailed,
    RequestError,
    SequenceFailed,
)

CLOSE_SECONDS = 5.0
"""How long the end of a process may lag behind the end of its connection."""
SAVE_SECONDS = 60.0
"""How long a worker may take to finish its step, save its conversations and end, before it is killed."""

SPIN_COUNT = "1000"
"""How often an OpenMP thread looks again before it sleeps. GNU's default of 300,000 and more makes every step of two
engines on one machine wait for threads that spin for each other: tenfold slower and worse, for nothing gained alone."""

log = logging.getLogger("hoshikage.engine")

Inbox = asyncio.Queue[wire.Event | None]


class Link(asyncio.Protocol):
    """Frames to and from the worker. Each request id has a queue; None in it means that the worker is gone."""

    def __init__(self) -> None:
        self._frames = wire.events()
        self._inboxes: dict[int, Inbox] = {}
        self.greeting: asyncio.Future[wire.Event | None] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        for event in self._frames.feed(data):
            if isinstance(event, wire.Ready | wire.LoadRefused):
                self.greeting.set_result(event)
            elif inbox := self._inboxes.get(event.id):
                inbox.put_nowait(event)

    def connection_lost(self, exc: Exception | None) -> None:
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
        if self._transport is not None and not self.lost.is_set():
            self._transport.write(wire.frame([command]))

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Engine:
    """One loaded model. `ready` tells its window and sizes; `lost` is set once the process is gone."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link, ready: wire.Ready) -> None:
        self.ready = ready
        self.lost = link.lost
        self._process = process
        self._link = link
        self._ids = itertools.count(1)

    @classmethod
    async def start(cls, load: wire.Load, *, timeout_seconds: float | None = None) -> "Engine":
        """Start a worker and load the model. Raises LoadFailed; leaves no process behind, cancelled or not."""
        try:
            process, link = await _spawn()
        except OSError as error:
            raise LoadFailed(reason=f"no worker could be started: {error}") from error
        try:
            link.send(load)
            async with asyncio.timeout(timeout_seconds):
                greeting = await link.greeting
            return cls(process, link, await _checked(greeting, process))
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

        Leaving early cancels it. Raises ContextOverflow, ConstraintRefused, SequenceFailed or EngineCrashed.
        """
        id_ = next(self._ids)
        inbox = self._link.open(id_)
        finished = False
        try:
            self._link.send(_with_id(command, id_))
            while not finished:
                event = await self._checked(await inbox.get())
                finished = isinstance(event, wire.Done)
                yield event
        finally:
            self._link.close(id_)
            if not finished:
                self._link.send(wire.Cancel(id_))

    async def statistics(self) -> wire.Counters:
        """The worker's counters. Raises EngineCrashed."""
        id_ = next(self._ids)
        inbox = self._link.open(id_)
        try:
            self._link.send(wire.Statistics(id_))
            event = await self._checked(await inbox.get())
        finally:
            self._link.close(id_)
        if not isinstance(event, wire.Counters):
            raise EngineCrashed(reason="it answered something else")
        return event

    async def close(self) -> None:
        """End the worker: all its memory goes back to the system."""
        await _end(self._process, self._link, patience=SAVE_SECONDS)

    async def _checked(self, event: wire.Event | None) -> wire.Event:
        if event is None:
            raise EngineCrashed(reason=await _ending(self._process))
        if isinstance(event, wire.Refused):
            raise _refusal(event)
        return event


def _with_id(command: wire.Generate, id_: int) -> wire.Generate:
    fields = {name: getattr(command, name) for name in command.__struct_fields__}
    return wire.Generate(**{**fields, "id": id_})


def _refusal(event: wire.Refused) -> RequestError | EngineError:
    if event.limit:
        return ContextOverflow(tokens=event.tokens, limit=event.limit)
    if event.field:
        return ConstraintRefused(field=event.field, reason=event.reason)
    return SequenceFailed(reason=event.reason)


async def _spawn() -> tuple[asyncio.subprocess.Process, Link]:
    ours, theirs = socket.socketpair()
    level = logging.getLevelName(log.getEffectiveLevel())
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hoshikage.engine.worker",
            str(theirs.fileno()),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={"GOMP_SPINCOUNT": SPIN_COUNT, "GGML_NO_BACKTRACE": "1", **os.environ, "HOSHIKAGE_WORKER_LOG": level},
        )
    ours.setblocking(False)
    _, link = await asyncio.get_running_loop().create_unix_connection(Link, sock=ours)
    return process, link


async def _checked(greeting: wire.Event | None, process: asyncio.subprocess.Process) -> wire.Ready:
    if isinstance(greeting, wire.Ready):
        return greeting
    if isinstance(greeting, wire.LoadRefused):
        raise LoadFailed(reason=greeting.reason)
    raise LoadFailed(reason=f"the worker ended while loading, {await _ending(process)}")


async def _ending(process: asyncio.subprocess.Process) -> str:
    """How the process ended; its exit may be noticed a little later than the end of its connection."""
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
