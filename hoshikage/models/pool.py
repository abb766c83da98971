"""Loads and unloads engines, keeps them alive, and is their only owner. Knows files and names, no chats."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hoshikage.engine.client import Engine
from hoshikage.engine.wire import Load
from hoshikage.errors import EngineCrashed, LoadFailed

log = logging.getLogger("hoshikage.pool")

Key = tuple[Path, tuple[str, ...]]
"""What a worker has loaded: the model's file and its adapters."""
Start = Callable[[Load, float | None], Awaitable[Engine]]
"""Starts a worker, within so many seconds. Raises LoadFailed."""


async def start(load: Load, timeout_seconds: float | None) -> Engine:
    """A worker with the files that `load` names."""
    return await Engine.start(load, timeout_seconds=timeout_seconds)


@dataclass(frozen=True, slots=True)
class Policy:
    """`keep_alive_seconds` math.inf = for ever."""

    keep_alive_seconds: float
    max_loaded: int
    load_timeout_seconds: float | None


@dataclass(slots=True, eq=False)
class Loaded:
    """One model that is loaded or being loaded. `users` counts its requests."""

    name: str
    load: Load
    keep_alive_seconds: float
    starting: "asyncio.Task[Engine]"
    users: int = 0
    idle_since: float = field(default_factory=time.time)
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> Key:
        return Path(self.load.path), self.load.adapters

    @property
    def expires_at(self) -> float:
        """Unix seconds; math.inf = never."""
        return (time.time() if self.users else self.idle_since) + self.keep_alive_seconds

    @property
    def engine(self) -> Engine | None:
        done = self.starting.done() and not self.starting.cancelled() and self.starting.exception() is None
        return self.starting.result() if done else None


@dataclass(frozen=True, slots=True)
class Lease:
    """An engine for the time of one request; `load_ns` is how long it was waited for."""

    engine: Engine
    load_ns: int


class Pool:
    """At most one worker for a file and its adapters; requests for a model that is not loaded load it once."""

    def __init__(self, policy: Policy, start: Start = start) -> None:
        self.policy = policy
        self._starter = start
        self._loaded: dict[Key, Loaded] = {}
        self._room = asyncio.Condition()
        self._closing: set[asyncio.Task[None]] = set()

    def loaded(self) -> list[Loaded]:
        """What is loaded now, the first to expire last."""
        ready = [each for each in self._loaded.values() if each.engine is not None and not each.engine.lost.is_set()]
        return sorted(ready, key=lambda each: each.expires_at, reverse=True)

    @contextlib.asynccontextmanager
    async def acquire(self, name: str, load: Load, keep_alive_seconds: float | None) -> AsyncIterator[Lease]:
        """The engine of a model, loaded if need be. Raises LoadFailed or EngineCrashed."""
        started = time.perf_counter_ns()
        loaded = await self._enter(name, load)
        try:
            if keep_alive_seconds is not None:
                loaded.keep_alive_seconds = keep_alive_seconds
            engine = await asyncio.shield(loaded.starting)
            yield Lease(engine, time.perf_counter_ns() - started)
        except (EngineCrashed, LoadFailed):
            self._forget(loaded)
            raise
        finally:
            await self._leave(loaded)

    async def unload(self, path: Path, adapters: Sequence[str] = ()) -> None:
        """End the model's worker, when its running requests are done; nothing if it is not loaded."""
        if loaded := self._loaded.get((path, tuple(adapters))):
            loaded.keep_alive_seconds = 0.0
            if not loaded.users:
                self._expire(loaded)

    async def keep_only(self, keys: Collection[Key]) -> None:
        """Unload what is loaded for no model any more: nobody could name it to unload it."""
        for path, adapters in self._loaded.keys() - set(keys):
            await self.unload(path, adapters)

    async def close(self) -> None:
        """End all workers."""
        for loaded in list(self._loaded.values()):
            self._forget(loaded)
        await asyncio.gather(*self._closing)

    async def _enter(self, name: str, load: Load) -> Loaded:
        key = Path(load.path), load.adapters
        async with self._room:
            while (loaded := self._usable(key)) is None and not self._make_room():
                await self._room.wait()
            if loaded is None:
                loaded = Loaded(name, load, self.policy.keep_alive_seconds, self._start(load))
                self._loaded[key] = loaded
            loaded.users += 1
        if loaded.timer:
            loaded.timer.cancel()
        return loaded

    def _start(self, load: Load) -> "asyncio.Task[Engine]":
        task = asyncio.ensure_future(self._starter(load, self.policy.load_timeout_seconds))
        task.add_done_callback(lambda t: t.cancelled() or t.exception())  # a failure is told to whoever waits
        return task

    def _usable(self, key: Key) -> Loaded | None:
        loaded = self._loaded.get(key)
        if loaded and loaded.engine and loaded.engine.lost.is_set():
            log.error("%s: the worker has ended; a new one is started", loaded.name)
            self._forget(loaded)
            return None
        return loaded

    def _make_room(self) -> bool:
        """Whether another model may be loaded, after unloading the idle one that is the first to expire."""
        if len(self._loaded) < self.policy.max_loaded:
            return True
        idle = [each for each in self._loaded.values() if not each.users]
        if idle:
            self._forget(min(idle, key=lambda each: each.expires_at))
        return bool(idle)

    async def _leave(self, loaded: Loaded) -> None:
        loaded.users -= 1
        loaded.idle_since = time.time()
        if not loaded.users:
            self._wind(loaded)
        async with self._room:
            self._room.notify_all()

    def _wind(self, loaded: Loaded) -> None:
        if loaded.keep_alive_seconds <= 0:
            self._expire(loaded)
        elif not math.isinf(loaded.keep_alive_seconds):
            loop = asyncio.get_running_loop()
            loaded.timer = loop.call_later(loaded.keep_alive_seconds, self._expire, loaded)

    def _expire(self, loaded: Loaded) -> None:
        if not loaded.users:
            self._forget(loaded)
            self._in_background(self._tell_room())

    async def _tell_room(self) -> None:
        async with self._room:
            self._room.notify_all()

    def _forget(self, loaded: Loaded) -> None:
        """Take it out and end its worker in the background; a second call does nothing."""
        if self._loaded.get(loaded.key) is not loaded:
            return
        del self._loaded[loaded.key]
        if loaded.timer:
            loaded.timer.cancel()
        self._in_background(_end(loaded))

    def _in_background(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _end(loaded: Loaded) -> None:
    if not loaded.starting.done():
        loaded.starting.cancel()
    with contextlib.suppress(asyncio.CancelledError, LoadFailed):
        await (await loaded.starting).close()
