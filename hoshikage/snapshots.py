"""Where KV snapshots lie while the server runs, and while it does not. Knows settings and folders, no tokens."""

import contextlib
import logging
import os
from pathlib import Path

from hoshikage.engine.shelf import retire
from hoshikage.engine.wire import Place
from hoshikage.ramdisk import Ramdisk
from hoshikage.settings import Settings

GB = 10**9
RAMDISK_SHARE = 4
"""A quarter of the RAM disk holds snapshots, where KV_CACHE_GB leaves it open."""
MEMORY_SHARE = 10
"""At most a tenth of the machine's memory then."""

log = logging.getLogger("hoshikage.snapshots")


def places(settings: Settings, ramdisk: Ramdisk) -> tuple[Place, ...]:
    """The folders for snapshots, the one for new ones first; none where all budgets are 0."""
    in_memory, on_disk = memory_budget(settings), int(settings.kv_disk_gb * GB)
    found = []
    if ramdisk.folder and in_memory:
        found.append(Place(folder=str(ramdisk.folder), budget=in_memory, ram=True))
    if on_disk:
        settings.home.mkdir(parents=True, exist_ok=True)
        found.append(Place(folder=str(settings.home), budget=on_disk, ram=False))
    return tuple(found)


def memory_budget(settings: Settings) -> int:
    """Bytes of the RAM disk for snapshots."""
    if settings.kv_cache_gb is not None:
        return int(settings.kv_cache_gb * GB)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(int(settings.ramdisk_size_gb * GB) // RAMDISK_SHARE, memory // MEMORY_SHARE)


def put_away(settings: Settings, ramdisk: Ramdisk) -> None:
    """Move the snapshots into the home, so that a stopped server keeps no memory."""
    if ramdisk.folder is None:
        return
    try:
        retire(ramdisk.folder, settings.home, int(settings.kv_disk_gb * GB))
        remove_empty(ramdisk.folder)
    except OSError as error:
        log.warning("the RAM disk %s could not be emptied: %s", ramdisk.folder, error)


def remove_empty(folder: Path) -> None:
    """Take away the folder and those in it, as far as nothing lies in them."""
    for each in [*sorted(folder.rglob("*"), reverse=True), folder]:
        if each.is_dir():
            with contextlib.suppress(OSError):
                each.rmdir()
