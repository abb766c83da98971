"""What lies on the RAM disk and who uses it: copies given to loads, made in the background, emptied when nobody asks.

Safe for threads; what takes time takes the lock, so nothing of it may be called by an event loop but what says so.
"""

import contextlib
import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from msgspec import Struct

from hoshikage.ramdisk.budget import Held, Room, plan, relief
from hoshikage.ramdisk.copies import Changed, Copies, Copy, Set, bytes_of
from hoshikage.ramdisk.disk import KV, Ramdisk
from hoshikage.ramdisk.place import State
from hoshikage.ramdisk.stager import Stager, Stop

MINUTE_SECONDS = 60
LOOK_BYTES = 64 << 20
"""How much is copied between two looks at the memory."""

Clock = Callable[[], float]
Move = Callable[[Path], None]
"""Brings the snapshots in a folder to where they stay."""

log = logging.getLogger("hoshikage.ramdisk")


class NotStaged(Exception):
    """A copy is not made, or not finished; the text tells why."""


class Stopped(Exception):
    """The copying was ended, since the RAM disk is emptied."""


class Report(Struct, frozen=True):
    """The RAM disk for people: bytes, and what was last said about a copy that was not made."""

    state: State
    folder: str | None
    reason: str
    capacity: int
    copies: int
    snapshots: int
    staging: bool
    refusal: str


class Store:
    """The RAM disk of a server. `share` is what snapshots have of so many bytes; `idle_minutes` empties the disk."""

    def __init__(
        self,
        disk: Ramdisk,
        *,
        share: Callable[[int], int],
        idle_minutes: float = math.inf,
        now: Clock = time.monotonic,
    ) -> None:
        self.disk = disk
        self._share = share
        self._patience = idle_minutes * MINUTE_SECONDS
        self._now = now
        self._idle_since = now()
        self._lock = threading.Lock()
        self._stager = Stager()
        self._users: dict[Hashable, frozenset[str]] = {}
        self._refusal = ""

    def open(self) -> None:
        with self._lock:
            self.disk.open()

    def enter(self, user: Hashable) -> None:
        """A load begins: the disk is not idle until leave(). For event loops."""
        self._users[user] = frozenset()

    def leave(self, user: Hashable) -> None:
        """The load has failed, or what it has loaded is gone. For event loops."""
        names = self._users.pop(user, None)
        if names is None:
            return
        self._idle_since = self._now()
        for name in names:
            with contextlib.suppress(OSError, NotStaged):
                self._copies().touch(name)

    def use(self, user: Hashable, sets: Iterable[Set]) -> dict[Path, Path]:
        """The copies of those sets that have one, first file to first file; they stay until the user leaves."""
        with self._lock:
            self.disk.open()
            found = {each[0]: copy for each in sets if (copy := self._find(each))}
            if user in self._users:
                self._users[user] = frozenset(copy.name for copy in found.values())
            return {source: copy.first for source, copy in found.items()}

    def drop(self, user: Hashable) -> None:
        """Remove the copies that a user has, which it could not load."""
        with self._lock:
            for name in self._users.get(user, ()):
                self._copies().remove(name)

    def stage(self, sets: Iterable[Set]) -> None:
        """Copy what has no copy yet, in the background. For event loops."""
        wanted = tuple(sets)
        self._stager.add(wanted, lambda stop: self._stage(wanted, stop))

    @property
    def due(self) -> bool:
        """Whether nobody has used the disk for so long that it is emptied. For event loops."""
        idle = not self._users and self._now() - self._idle_since >= self._patience
        return idle and self.disk.folder is not None

    def empty(self, move: Move, why: str) -> bool:
        """Move the snapshots, remove the copies, give the disk back. False if somebody has come meanwhile."""
        self._stager.stop()
        with self._lock:
            folder = self.disk.folder
            if self._users or folder is None:
                return False
            move(folder)
            self._copies().clear()
            self.disk.close(why)
            return True

    def relieve(self, needed: int = 0) -> None:
        """Remove copies of what is gone, and idle ones where memory is short, or has less than `needed` bytes."""
        with self._lock:
            if self.disk.folder is None:
                return
            copies, held = self._copies(), self._held()
            mapped = {each.name for each in held if each.mapped}
            for name in (name for name in copies.stale() if name not in mapped):
                copies.remove(name)
            memory = self.disk.machine.memory
            for name in relief(held, max(memory.short(), needed - memory.available())):
                log.warning("RAM disk: a copy is removed, since memory is short")
                copies.remove(name)

    def close(self, move: Move) -> None:
        """As empty(), whoever is there, for good."""
        self._users.clear()
        self.empty(move, "the server has stopped")
        self._stager.close()

    def copied(self) -> int:
        """Bytes of all copies. For event loops."""
        folder = self.disk.folder
        return sum(each.size for each in Copies(folder).all()) if folder else 0

    def report(self) -> Report:
        """For event loops: a few looks at folders."""
        disk, folder = self.disk, self.disk.folder
        snapshots = _snapshots(folder) if folder else 0
        return Report(
            disk.state,
            str(folder) if folder else None,
            disk.reason,
            disk.capacity,
            self.copied(),
            snapshots,
            self._stager.busy,
            self._refusal,
        )

    def _copies(self) -> Copies:
        if self.disk.folder is None:
            raise NotStaged("there is no RAM disk any more")
        return Copies(self.disk.folder)

    def _find(self, files: Set) -> Copy | None:
        if self.disk.folder is None:
            return None
        try:
            if copy := self._copies().find(files):
                self._copies().touch(copy.name)
            return copy
        except OSError:
            return None

    def _stage(self, sets: tuple[Set, ...], stop: Stop) -> None:
        name = sets[0][0].name
        try:
            for files in self._fitting(sets):
                copy = self._copies().write(files, self._going(stop))
                log.info("RAM disk: %s has a copy, %d MB", files[0].name, copy.size // 10**6)
            self._refusal = ""
        except Stopped:
            log.info("RAM disk: the copying of %s was ended", name)
        except (NotStaged, Changed, OSError) as error:
            self._refusal = f"{name} is not copied: {error}"
            log.warning("RAM disk: %s", self._refusal)

    def _fitting(self, sets: tuple[Set, ...]) -> list[Set]:
        """The sets to copy, once there is room for all of them. Raises NotStaged or OSError."""
        with self._lock:
            if self.disk.folder is None:
                return []
            missing = [each for each in sets if not self._in_memory(each) and self._find(each) is None]
            if not missing:
                return []
            made = plan(sum(bytes_of(each) for each in missing), self._held(), self._room())
            if made.refusal:
                raise NotStaged(made.refusal)
            for name in made.remove:
                self._copies().remove(name)
            self._copies().prepare()
            return missing

    def _going(self, stop: Stop) -> Callable[[int], None]:
        """Raises Stopped, or NotStaged where the rest has no room any more."""
        memory, looked = self.disk.machine.memory, -1

        def going(left: int) -> None:
            nonlocal looked
            if stop.is_set():
                raise Stopped
            if left // LOOK_BYTES != looked:
                looked = left // LOOK_BYTES
                if memory.spare() < left:
                    raise NotStaged("memory has become short meanwhile")

        return going

    def _in_memory(self, files: Set) -> bool:
        return self.disk.machine.mounts.in_memory(files[0]) is not None

    def _held(self) -> list[Held]:
        mapped = frozenset[str]().union(*self._users.values())
        return [Held(each.name, each.size, each.used_ns, each.name in mapped) for each in self._copies().all()]

    def _room(self) -> Room:
        folder = self.disk.folder
        assert folder is not None  # noqa: S101  its callers hold the lock and have looked
        free, spare = shutil.disk_usage(folder).free, self.disk.machine.memory.spare()
        capacity = self.disk.capacity
        return Room(capacity, self._share(capacity), _snapshots(folder), free, spare)


def _snapshots(folder: Path) -> int:
    sizes = []
    for path in (folder / KV).rglob("*"):
        try:
            sizes.append(path.stat().st_size if path.is_file() else 0)
        except OSError:  # replaced by a worker at this moment
            continue
    return sum(sizes)
