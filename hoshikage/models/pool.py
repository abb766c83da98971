"""Loads and unloads engines, keeps them alive, and is their only owner. Knows files and names, no chats.

What is decided here is carried out; who is let in, started or ended is decided in `eviction`.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from msgspec import structs

from hoshikage.engine.client import Engine, OnProgress
from hoshikage.engine.wire import Load
from hoshikage.errors import EngineCrashed, LoadFailed, NotEnoughMemory
from hoshikage.models import eviction
from hoshikage.models.eviction import Bytes, Key, Room, State, Waiting
from hoshikage.models.footprint import Footprint, estimate, offloads
from hoshikage.models.loaded import Loaded, key_of
from hoshikage.models.repack import worth_repacking
from hoshikage.ramdisk.memory import Memory
from hoshikage.vram import vram

log = logging.getLogger("hoshikage.pool")

LOOK_SECONDS = 1.0
"""How often it is looked again while somebody waits: memory may have become free elsewhere, patience may have ended."""
ABSURD_TOKENS = 2**24
"""A num_ctx above it is meant as it stands; one up to it is a wish, and capped at what the model was trained for."""


class Start(Protocol):
    """Starts a worker, within so many seconds. Raises LoadFailed."""

    def __call__(
        self, load: Load, timeout_seconds: float | None, on_progress: OnProgress | None = None, /
    ) -> Awaitable[Engine]: ...


async def start(load: Load, timeout_seconds: float | None, on_progress: OnProgress | None = None) -> Engine:
    """A worker with the files that `load` names."""
    return await Engine.start(load, timeout_seconds=timeout_seconds, on_progress=on_progress)


def machine() -> Bytes:
    """What the machine has free now, and its GPUs where llama.cpp uses them."""
    return Bytes(Memory().available(), vram().free if offloads() else 0)


def measured(load: Load, repack: str = "auto") -> Footprint:
    """What the load will take on this machine; `repack` is CPU_REPACK."""
    load = structs.replace(load, repack=worth_repacking(load, repack))
    return estimate(load, vram().total if load.n_gpu_layers and offloads() else 0)


@dataclass(frozen=True, slots=True)
class Policy:
    """`keep_alive_seconds` math.inf = for ever."""

    keep_alive_seconds: float
    max_loaded: int
    load_timeout_seconds: float | None


@dataclass(frozen=True, slots=True)
class Lease:
    """An engine for the time of one request; `load_ns` is how long it was waited for."""

    engine: Engine
    load_ns: int


@dataclass(slots=True, eq=False, kw_only=True)
class Ticket(Waiting):
    """A request that waits, with what its model is loaded by. The future gives it the model once it is let in."""

    name: str
    load: Load
    footprint: Footprint
    entry: "asyncio.Future[Loaded]"


class Pool:
    """At most one worker for a file and its adapters; requests for a model that is not loaded load it once.

    `free` tells what can be had of the memory now, `measure` what a load will take. `gate` raises LoadFailed for a
    model that is not to be loaded now, so that no other has to go for it.
    """

    def __init__(
        self,
        policy: Policy,
        start: Start = start,
        free: Callable[[], Bytes] = machine,
        measure: Callable[[Load], Footprint] = measured,
        gate: Callable[[Load], None] = lambda _: None,
    ) -> None:
        self.policy = policy
        self._starter, self._free, self._measure, self._gate = start, free, measure, gate
        self._held: dict[Key, Loaded] = {}
        self._queue: list[Ticket] = []
        self._admitted = 0
        self._look: asyncio.TimerHandle | None = None
        self._measuring: dict[Key, asyncio.Task[Footprint]] = {}
        self._works: set[asyncio.Task[None]] = set()
        self._closed = False

    def loaded(self) -> list[Loaded]:
        """What can be asked now, the first to expire last."""
        return [each for each in self.held() if each.state in {State.RUNNING, State.IDLE}]

    def held(self) -> list[Loaded]:
        """Everything that has a process, what is loading and what is ending too; the first to expire last."""
        for each in self._held.values():
            each.waiting = sum(ticket.key == each.key for ticket in self._queue)
        return sorted(self._held.values(), key=lambda each: each.expires_at, reverse=True)

    @contextlib.asynccontextmanager
    async def acquire(
        self, name: str, load: Load, keep_alive_seconds: float | None, num_ctx: int = 0
    ) -> AsyncIterator[Lease]:
        """The engine of a model, loaded if need be.

        Raises LoadFailed, EngineCrashed, or NotEnoughMemory if the model or its `num_ctx` cannot fit.
        """
        started = time.perf_counter_ns()
        loaded = await self._let_in(name, load, num_ctx)
        try:
            if keep_alive_seconds is not None:
                loaded.keep_alive_seconds = keep_alive_seconds
            engine = await _started(loaded)
            yield Lease(engine, time.perf_counter_ns() - started)
        except EngineCrashed:
            self._stop(loaded)
            raise
        finally:
            self._leave(loaded)

    async def unload(self, path: Path, adapters: Sequence[str] = ()) -> None:
        """End the model's worker, when its running requests are done; nothing if it is not loaded."""
        if loaded := self._held.get((path, tuple(adapters))):
            loaded.keep_alive_seconds = 0.0
            if not loaded.users:
                self._stop(loaded)

    async def keep_only(self, keys: Collection[Key]) -> None:
        """Unload what is loaded for no model any more: nobody could name it to unload it."""
        for path, adapters in self._held.keys() - set(keys):
            await self.unload(path, adapters)

    async def close(self) -> None:
        """End all workers; who still waits is told."""
        self._closed = True
        for ticket in self._queue:
            ticket.entry.set_exception(LoadFailed(reason="the server is stopping"))
        for loaded in list(self._held.values()):
            self._stop(loaded)
        await asyncio.gather(*self._works)

    async def _let_in(self, name: str, load: Load, num_ctx: int) -> Loaded:
        """The model with this request among its users."""
        footprint = await self._footprint(load)
        self._check(footprint, load, num_ctx)
        loaded = self._held.get(key_of(load))
        if loaded is None:
            self._gate(load)
        if loaded and not self._queue and loaded.state is not State.STOPPING:
            return self._enter(loaded)
        if loaded and loaded.state is State.STOPPING:
            self._stop(loaded)  # one whose connection was lost may still live
        return await self._wait(name, load, footprint)

    async def _footprint(self, load: Load) -> Footprint:
        """What is known of a model that is loaded; of others it is read, once for all who ask meanwhile."""
        key = key_of(load)
        if loaded := self._held.get(key):
            return loaded.footprint
        if key not in self._measuring:
            task = asyncio.create_task(asyncio.to_thread(self._measure, load))
            task.add_done_callback(lambda _: self._measuring.pop(key))
            self._measuring[key] = task
        return await asyncio.shield(self._measuring[key])

    def _check(self, footprint: Footprint, load: Load, num_ctx: int) -> None:
        """Raises NotEnoughMemory if a context of that length could not be had by any means."""
        wanted = num_ctx if num_ctx > ABSURD_TOKENS else min(num_ctx, footprint.trained)
        needed = wanted * footprint.kv_token
        if not needed:
            return
        most = self._room().free + eviction.total(each.footprint.size for each in self._held.values())
        free = load.kv_bytes or most.ram + most.vram
        if needed > free:
            raise NotEnoughMemory(what=f"num_ctx {num_ctx}", needed=needed, free=max(0, free))

    async def _wait(self, name: str, load: Load, footprint: Footprint) -> Loaded:
        ticket = Ticket(
            key_of(load),
            footprint.size,
            time.time(),
            self._admitted,
            name=name,
            load=load,
            footprint=footprint,
            entry=asyncio.get_running_loop().create_future(),
        )
        self._queue.append(ticket)
        self._turn()
        try:
            return await ticket.entry
        except asyncio.CancelledError:
            if ticket.entry.done() and not ticket.entry.cancelled() and not ticket.entry.exception():
                self._leave(ticket.entry.result())
            raise
        finally:
            if ticket in self._queue:
                self._queue.remove(ticket)
                self._turn()

    def _turn(self) -> None:
        """Do what can be done now for those who wait."""
        if self._look:
            self._look.cancel()
            self._look = None
        if not self._queue or self._closed:
            return
        made = eviction.plan([each.held for each in self._held.values()], self._queue, self._room())
        done = {id(ticket) for ticket in [*(refused for refused, _ in made.refuse), *made.admit]}
        tickets = {id(ticket): ticket for ticket in self._queue}
        self._queue = [ticket for ticket in self._queue if id(ticket) not in done]
        for refused, most in made.refuse:
            _refuse(tickets[id(refused)], most)
        for key in made.evict:
            self._stop(self._held[key])
        for first in made.start:
            self._begin(tickets[id(first)])
        for admitted in made.admit:
            ticket = tickets[id(admitted)]
            if not ticket.entry.done():
                ticket.entry.set_result(self._enter(self._held[ticket.key]))
        if self._queue:
            self._look = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._turn)

    def _room(self) -> Room:
        """What is free, without what looks free and is not: mapped weights, and what loads will take."""
        free = self._free()
        for each in self._held.values():
            free = free - (each.footprint.size if each.state is State.LOADING else Bytes(each.footprint.mapped))
        return Room(free, self.policy.max_loaded, time.time(), self._admitted)

    def _begin(self, ticket: Ticket) -> None:
        def on_progress(progress: float) -> None:
            loaded.progress = max(loaded.progress, progress)

        load = structs.replace(ticket.load, repack=ticket.footprint.repack)
        work = self._starter(load, self.policy.load_timeout_seconds, on_progress)
        seconds = self.policy.keep_alive_seconds
        loaded = Loaded(ticket.name, load, ticket.footprint, seconds, asyncio.ensure_future(work))
        self._held[ticket.key] = loaded
        self._in_background(self._live(loaded))

    async def _live(self, loaded: Loaded) -> None:
        """From the start of its worker to the end of its process, which makes room."""
        await asyncio.wait([loaded.starting])
        if (engine := loaded.engine) is not None:
            loaded.since = time.time()
            self._turn()
            await engine.ended()
            if loaded.stopped_at is None:
                log.error("%s: the worker has ended; the next request starts a new one", loaded.name)
        loaded.stop_timer()
        del self._held[loaded.key]
        self._turn()

    def _enter(self, loaded: Loaded) -> Loaded:
        self._admitted += 1
        loaded.users += 1
        loaded.stop_timer()
        return loaded

    def _leave(self, loaded: Loaded) -> None:
        loaded.users -= 1
        loaded.idle_since = time.time()
        if not loaded.users:
            self._wind(loaded)
        self._turn()

    def _wind(self, loaded: Loaded) -> None:
        """Nobody uses it any more: a load is given up, a loaded model ends when its time is over."""
        if loaded.state is State.LOADING or loaded.keep_alive_seconds <= 0:
            self._stop(loaded)
        elif loaded.state is State.IDLE and not math.isinf(loaded.keep_alive_seconds):
            loop = asyncio.get_running_loop()
            loaded.timer = loop.call_later(loaded.keep_alive_seconds, self._stop, loaded)

    def _stop(self, loaded: Loaded) -> None:
        """End its worker in the background; it stays held until the process is gone. A second call does nothing."""
        if loaded.stopped_at is None:
            loaded.stopped_at = time.time()
            loaded.stop_timer()
            self._in_background(_end(loaded))

    def _in_background(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)


async def _started(loaded: Loaded) -> Engine:
    await asyncio.wait([loaded.starting])
    if loaded.starting.cancelled():
        raise LoadFailed(reason="it was to end before it was loaded")
    return loaded.starting.result()


async def _end(loaded: Loaded) -> None:
    loaded.starting.cancel()
    await asyncio.wait([loaded.starting])
    if (engine := loaded.engine) is not None:
        await engine.close()


def _refuse(ticket: Ticket, most: Bytes) -> None:
    """Tell which memory is short, with what is needed and what could be had at most."""
    needed, free, kind = ticket.size.ram, most.ram, "system"
    if needed <= free or not needed:
        needed, free, kind = ticket.size.vram, most.vram, "GPU"
    if not ticket.entry.done():
        ticket.entry.set_exception(NotEnoughMemory(what="model", needed=needed, free=max(0, free), kind=kind))
