"""The composition root: Settings -> Services, opened and closed as one async context."""

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from hoshikage.admission import Admission, admission_of
from hoshikage.errors import RegistryCorrupt
from hoshikage.generation import Backend
from hoshikage.jobs.board import Board
from hoshikage.keeper import Keeper
from hoshikage.keys import Keys, keys_of
from hoshikage.models.cooldown import Cooldown
from hoshikage.models.disposal import prune
from hoshikage.models.eviction import Key
from hoshikage.models.home import registry_of as registry_of
from hoshikage.models.pool import Policy, Pool, measured
from hoshikage.models.registry import Registry
from hoshikage.settings import Settings

SETTLE_SECONDS = 600
LOOK_SECONDS = 2.0
"""How often it is looked whether somebody has changed model_map.json by hand."""

USES_SECONDS = 60
"""How often it is written down when keys were used last."""

log = logging.getLogger("hoshikage.services")


@dataclass(frozen=True, slots=True)
class Services:
    """All that the HTTP layer may use."""

    settings: Settings
    backend: Backend
    keeper: Keeper
    board: Board
    keys: Keys
    cooldown: Cooldown

    @property
    def registry(self) -> Registry:
        return self.backend.registry

    @property
    def pool(self) -> Pool:
        return self.backend.pool

    @property
    def admission(self) -> Admission:
        return self.backend.admission


@contextlib.asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Services for the time of the context; at its end every worker is gone."""
    timeout = settings.load_timeout_seconds
    policy = Policy(
        keep_alive_seconds=settings.idle_timeout_seconds,
        max_loaded=settings.max_loaded_models,
        load_timeout_seconds=timeout if timeout > 0 and not math.isinf(timeout) else None,
    )
    keeper, registry, cooldown = Keeper(settings), registry_of(settings), Cooldown()
    await keeper.open()
    measure = partial(measured, repack=settings.cpu_repack)
    pool = Pool(policy, cooldown.guarding(keeper.start), keeper.free, measure, cooldown.gate)
    board, keys = Board(registry.files), keys_of(settings)
    works = settle_digests(registry), project_changes(registry, pool), keeper.watch(), note_uses(keys)
    tasks = [asyncio.create_task(work) for work in works]
    try:
        backend = Backend(registry, pool, settings, admission_of(settings, keys))
        yield Services(settings, backend, keeper, board, keys, cooldown)
    finally:
        for task in tasks:
            task.cancel()
        await board.close()
        await pool.close()
        await keeper.close()
        await asyncio.to_thread(keys.uses.flush)


async def unload_unregistered(registry: Registry, pool: Pool) -> None:
    """End the workers of models that are deleted or made anew, once they are idle. Raises RegistryCorrupt."""
    await pool.keep_only(await asyncio.to_thread(registered, registry))


def registered(registry: Registry) -> list[Key]:
    """What workers may have loaded. Raises RegistryCorrupt."""
    return [(entry.file, entry.beside) for entry in registry.entries()]


async def settle_digests(registry: Registry) -> None:
    """Hash in the background what was too large to be hashed when it was added; looks again from time to time.

    Being cancelled ends the thread that hashes, which the end of the server would wait for.
    """
    stop = threading.Event()
    try:
        while True:
            await asyncio.to_thread(settle_all, registry, stop)
            await asyncio.sleep(SETTLE_SECONDS)
    finally:
        stop.set()


def settle_all(registry: Registry, stop: threading.Event) -> None:
    try:
        prune(registry)
        registry.mend()
        for entry in registry.inexact():
            registry.settle(entry, stop.is_set)
    except (OSError, RegistryCorrupt) as error:  # a full disk, say, which is not full for ever
        log.error("%s", error)


async def project_changes(registry: Registry, pool: Pool) -> None:
    """Bring the projections in step after a change by hand, for front ends that read nothing but them."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if registry.changed:
            try:
                await unload_unregistered(registry, pool)
            except (OSError, RegistryCorrupt) as error:
                log.error("%s", error)
                await asyncio.sleep(SETTLE_SECONDS)


async def note_uses(keys: Keys) -> None:
    """Write down from time to time when keys were used last."""
    while True:
        await asyncio.sleep(USES_SECONDS)
        await asyncio.to_thread(keys.uses.flush)
