"""Where KV snapshots lie while the server runs, and while it does not. Knows settings and folders, no tokens."""

import logging
import os
from pathlib import Path

from hoshikage.engine.shelf import retire
from hoshikage.engine.wire import Place
from hoshikage.ramdisk.disk import Ramdisk
from hoshikage.ramdisk.place import GB
from hoshikage.settings import Settings

RAMDISK_SHARE = 4
"""A quarter of the RAM disk holds snapshots, where KV_CACHE_GB leaves it open."""
MEMORY_SHARE = 10
"""At most a tenth of the machine's memory then."""

log = logging.getLogger("hoshikage.snapshots")


def places(settings: Settings, ramdisk: Ramdisk) -> tuple[Place, ...]:
    """The folders for snapshots, the one for new ones first; none where all budgets are 0."""
    in_memory, on_disk = memory_budget(settings, ramdisk.capacity), int(settings.kv_disk_gb * GB)
    found = []
    if ramdisk.folder and in_memory:
        found.append(Place(folder=str(ramdisk.folder), budget=in_memory, ram=True))
    if on_disk:
        settings.home.mkdir(parents=True, exist_ok=True)
        found.append(Place(folder=str(settings.home), budget=on_disk, ram=False))
    return tuple(found)


def memory_budget(settings: Settings, capacity: int) -> int:
    """Bytes for snapshots of a RAM disk that holds `capacity` bytes."""
    if settings.kv_cache_gb is not None:
        return min(int(settings.kv_cache_gb * GB), capacity)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(capacity // RAMDISK_SHARE, memory // MEMORY_SHARE)


def put_away(settings: Settings, folder: Path) -> None:
    """Move the snapshots of a RAM disk into the home, before it is emptied."""
    try:
        retire(folder, settings.home, int(settings.kv_disk_gb * GB))
    except OSError as error:
        log.warning("the snapshots in %s could not be moved: %s", folder, error)
