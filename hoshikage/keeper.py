"""The RAM disk for loads: a model's copies where there are some, copies made after its first load, an empty disk when
nobody asks. Knows models and their files, no requests."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

from msgspec import structs

from hoshikage import snapshots
from hoshikage.engine.client import Engine, OnProgress
from hoshikage.engine.shelf import clean
from hoshikage.engine.wire import Load
from hoshikage.errors import HoshikageError, LoadFailed
from hoshikage.models.eviction import Bytes
from hoshikage.models.headers import header_of
from hoshikage.models.pool import machine, measured
from hoshikage.models.shards import shards
from hoshikage.ramdisk.copies import Set
from hoshikage.ramdisk.disk import Ramdisk
from hoshikage.ramdisk.place import Machine, Wish
from hoshikage.ramdisk.store import Report, Store, log
from hoshikage.settings import Settings

LOOK_SECONDS = 2.0
"""How often it is looked whether the RAM disk has been idle for long enough."""
LOOKS = 5
"""Every so often, it is looked whether memory has become short."""


def wish(settings: Settings) -> Wish:
    """What the settings ask for."""
    return Wish(settings.ramdisk_path, settings.ramdisk_size_gb, settings.home)


class Keeper:
    """Starts the workers of one server and keeps its RAM disk."""

    def __init__(self, settings: Settings, machine: Machine | None = None) -> None:
        self._settings = settings
        self._disk = Ramdisk(wish(settings), machine)
        self._store = Store(
            self._disk,
            share=lambda capacity: snapshots.memory_budget(settings, capacity),
            idle_minutes=settings.great_timeout_minutes,
        )
        self._watching: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Find, mount and sweep the RAM disk; without one, everything is loaded from where it lies."""
        await asyncio.to_thread(self._store.open)
        await asyncio.to_thread(clean, self._settings.home)

    async def close(self) -> None:
        """Snapshots go to the home, copies go, and what was mounted is unmounted. Call it when all workers are gone."""
        await asyncio.to_thread(self._store.close, self._put_away)
        await asyncio.gather(*self._watching)

    def free(self) -> Bytes:
        """What models may have of the memory: copies go where it is needed, or are what is loaded."""
        return machine() + Bytes(ram=self._store.copied())

    async def start(self, load: Load, timeout_seconds: float | None, on_progress: OnProgress | None = None) -> Engine:
        """A worker that maps the copies of its files; what has none is copied afterwards. Raises LoadFailed."""
        user = object()
        self._store.enter(user)
        try:
            sets = await asyncio.to_thread(sets_of, load)
            copies = await asyncio.to_thread(self._store.use, user, sets)
            await asyncio.to_thread(self._make_room, load, copies)
            places = snapshots.places(self._settings, self._disk)
            starting = partial(Engine.start, timeout_seconds=timeout_seconds, on_progress=on_progress)
            engine = await self._started(structs.replace(load, places=places), copies, user, starting)
        except OSError as error:
            self._store.leave(user)
            raise LoadFailed(reason=str(error)) from error
        except BaseException:
            self._store.leave(user)
            raise
        watching = asyncio.create_task(self._until_ended(engine, user))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        if len(copies) < len(sets) and self._disk.folder:
            self._store.stage(sets)
        return engine

    async def watch(self) -> None:
        """Empty the disk when it has been idle for long enough, and where memory becomes short; until cancelled."""
        minutes = self._settings.great_timeout_minutes
        looks = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            looks += 1
            if self._store.due:
                await asyncio.to_thread(self._store.empty, self._put_away, f"emptied after {minutes:g} idle minutes")
            elif looks % LOOKS == 0 and self._disk.folder:
                await asyncio.to_thread(self._store.relieve)

    def report(self) -> Report:
        """The state of the RAM disk for people."""
        return self._store.report()

    async def _started(
        self, load: Load, copies: dict[Path, Path], user: object, starting: Callable[[Load], Awaitable[Engine]]
    ) -> Engine:
        try:
            return await starting(copied(load, copies))
        except LoadFailed as error:
            if not copies:
                raise
            log.warning("RAM disk: the copy of %s could not be loaded (%s); it is removed", load.path, error)
            await asyncio.to_thread(self._store.drop, user)
            return await starting(load)

    def _make_room(self, load: Load, copies: dict[Path, Path]) -> None:
        """Idle copies of other models go where the load would find too little memory."""
        footprint = measured(load, "on" if load.repack else "off")
        self._store.relieve(footprint.private + (0 if Path(load.path) in copies else footprint.mapped))

    async def _until_ended(self, engine: Engine, user: object) -> None:
        await engine.ended()
        self._store.leave(user)

    def _put_away(self, folder: Path) -> None:
        snapshots.put_away(self._settings, folder)


def sets_of(load: Load) -> tuple[Set, ...]:
    """The files of a load, grouped by what must lie side by side; what cannot be read is left to the engine."""
    return tuple(_sets(load))


def copied(load: Load, copies: dict[Path, Path]) -> Load:
    """The load with the copies in the place of what they are copies of."""

    def now(path: str) -> str:
        return str(copies.get(Path(path), path)) if path else ""

    adapters = tuple(map(now, load.adapters))
    return structs.replace(
        load, path=now(load.path), draft_path=now(load.draft_path), adapters=adapters, projector=now(load.projector)
    )


def _sets(load: Load) -> Iterator[Set]:
    for path in map(Path, filter(None, (load.path, load.draft_path))):
        with contextlib.suppress(HoshikageError, OSError):
            yield shards(path, header_of(path))
    yield from ((Path(each),) for each in (*load.adapters, load.projector) if each)
