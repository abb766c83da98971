"""The RAM disk while it is had: opened with its lock, swept of what a crash has left, closed and unmounted again."""

import contextlib
import logging
import os
import shutil
from pathlib import Path

from hoshikage.ramdisk.copies import MODELS, PARTIAL, Copies
from hoshikage.ramdisk.lock import Busy, Lock
from hoshikage.ramdisk.place import GB, KEY, PRIVATE, Machine, State, Wish, find, unmount

KV = "kv"
"""Where the snapshots of a home lie in its folder, as in the home itself."""

log = logging.getLogger("hoshikage.ramdisk")


class Ramdisk:
    """`folder` is this home's, None where there is no RAM disk; `reason` tells why. Not for two threads at once."""

    def __init__(self, wish: Wish, machine: Machine | None = None) -> None:
        self.machine = machine or Machine()
        self.wish = wish
        self.state = State.OFF
        self.reason = "not opened yet"
        self.folder: Path | None = None
        self.capacity = 0
        self._base: Path | None = None
        self._lock: Lock | None = None

    def open(self) -> None:
        """Find or mount it, lock it and sweep it; nothing if that is done."""
        if self.folder is not None:
            return
        place = find(self.wish, self.machine)
        self.state, self.reason = place.state, place.reason
        if place.base is not None and place.locked is not None:
            try:
                self._take(place.base, place.locked)
            except Busy as other:
                self.state, self.reason = State.OFF, f"{place.base} is in use by {other}"
            except OSError as error:
                self.state, self.reason = State.OFF, f"{place.base} cannot be used: {error.strerror or error}"
        log.info("RAM disk: %s: %s", self.state, self.reason)

    def close(self, why: str) -> None:
        """Give it back: empty folders go, and what hoshikage has mounted is unmounted. Snapshots in it stay."""
        folder, base, lock = self.folder, self._base, self._lock
        if folder is None or base is None or lock is None:
            return
        self.folder, self._base, self._lock, self.capacity = None, None, None, 0
        remove_empty(folder / KV)
        lock.release()
        remove_empty(folder)
        if self.state is State.MOUNTED and self.wish.path and os.path.ismount(self.wish.path.resolve()):
            kept = unmount(self.wish.path, self.machine)
            self.state, self.reason = (State.MOUNTED, f"{why}; {kept}") if kept else (State.OFF, f"{why} and unmounted")
        else:
            with contextlib.suppress(OSError):
                base.rmdir()
            self.reason = why
        log.info("RAM disk: %s: %s", self.state, self.reason)

    def _take(self, base: Path, locked: Path) -> None:
        """Raises Busy or OSError."""
        self._lock = Lock(locked, f"process {os.getpid()} with the home {self.wish.home}")
        self._base, folder = base, base / self.wish.key
        try:
            folder.mkdir(mode=PRIVATE, exist_ok=True)
            self._sweep(folder)
            clear_homes(base, but=folder)
            whole = shutil.disk_usage(folder).total
        except OSError:
            self._lock.release()
            raise
        self.folder = folder
        self.capacity = self._capped(int(self.wish.size_gb * GB), whole)

    def _capped(self, wanted: int, whole: int) -> int:
        """The bytes it may hold, on a file system of so many; fewer than wanted is said."""
        half = self.machine.capped(wanted)
        if (holds := min(half, whole)) < wanted:
            limit = "half the memory" if holds == half else "the whole file system"
            self.reason += f"; RAMDISK_SIZE={self.wish.size_gb:g} is more than {limit}, so it holds {holds / GB:.1f} GB"
        return holds

    def _sweep(self, folder: Path) -> None:
        """Leftovers of a crash go, complete snapshots never."""
        for name in Copies(folder).sweep():
            log.warning("RAM disk: removed the leftover %s", name)
        for partial in (folder / KV).glob(f"*/*{PARTIAL}"):
            partial.unlink(missing_ok=True)


def clear_homes(base: Path, but: Path) -> None:
    """Remove the copies of homes whose server was killed: they would lie in memory for nobody."""
    for other in base.iterdir():
        if other == but or not KEY.fullmatch(other.name) or not (other / MODELS).is_dir():
            continue
        with contextlib.suppress(Busy, OSError):
            lock = Lock(other, "a server that cleans up")
            Copies(other).clear()
            lock.release()
            remove_empty(other)


def remove_empty(folder: Path) -> None:
    """Take away the folder and those in it, as far as nothing lies in them."""
    for each in [*sorted(folder.rglob("*"), reverse=True), folder]:
        if each.is_dir():
            with contextlib.suppress(OSError):
                each.rmdir()
