"""Which folder is the RAM disk, and why: RAMDISK_PATH, mounted where it must be, else shared memory, else none."""

import hashlib
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from hoshikage.ramdisk.memory import Memory
from hoshikage.ramdisk.mounts import GIB, Mounts, run

GB = 10**9
KEY_BYTES = 6
KEY = re.compile(f"[0-9a-f]{{{2 * KEY_BYTES}}}")
PRIVATE = 0o700
TURNED_OFF = "turned off by RAMDISK_PATH or RAMDISK_SIZE"
MARK = ".mounted-by-hoshikage"
"""Lies on a tmpfs that a server has mounted, so that a later one may unmount it."""


class State(StrEnum):
    OFF = "off"
    FALLBACK = "fallback"
    MOUNTED = "mounted"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings ask for: RAMDISK_PATH (None = off), RAMDISK_SIZE (0 = off), and the home it is for."""

    path: Path | None
    size_gb: float
    home: Path

    @property
    def key(self) -> str:
        """The name of the home's folder: two homes of a user share nothing."""
        return hashlib.blake2b(str(self.home.resolve()).encode(), digest_size=KEY_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class Machine:
    """What the RAM disk needs of the system; tests give their own."""

    shared: Path = Path("/dev/shm")  # noqa: S108  a folder in it is checked for its owner and mode
    mounts: Mounts = field(default_factory=Mounts)
    memory: Memory = field(default_factory=Memory)
    run: Callable[[list[str]], str] = run

    def capped(self, size: int) -> int:
        """At most half the memory."""
        return min(size, self.memory.total() // 2)


@dataclass(frozen=True, slots=True)
class Place:
    """`base` is this user's alone, None = there is no RAM disk. One server at a time holds the lock in `locked`."""

    state: State
    reason: str
    base: Path | None = None
    locked: Path | None = None


def find(wish: Wish, machine: Machine) -> Place:
    """The RAM disk's place, mounted if need be and allowed."""
    if wish.path is None or not wish.size_gb:
        return Place(State.OFF, TURNED_OFF)
    if machine.mounts.in_memory(wish.path) is None and (why := _mount(wish.path, wish.size_gb, machine)):
        return _fallback(wish, machine, why)
    try:
        wish.path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        base = _private(wish.path.resolve())
    except OSError as error:
        return _fallback(wish, machine, f"{wish.path} cannot be used: {error.strerror or error}")
    return Place(State.MOUNTED, f"{wish.path} is in memory", base, base)


def obstacle(path: Path, machine: Machine) -> str:
    """Why `path` cannot be a mount point, with the command that helps; nothing if it can. Makes it if it is missing."""
    if sys.platform != "linux":
        return "only Linux mounts a tmpfs"
    try:
        path.mkdir(parents=True, exist_ok=True)
        return _hiding(path)
    except OSError as error:
        return f"{path} cannot be made ({error.strerror}); run: sudo mkdir -p {shlex.quote(str(path))}"


def _hiding(path: Path) -> str:
    return f"{path} is not empty, and a RAM disk would hide what is in it" if any(path.iterdir()) else ""


def expected(wish: Wish, machine: Machine) -> tuple[State, str]:
    """What a server would find, without mounting or making anything."""
    if wish.path is None or not wish.size_gb:
        return State.OFF, TURNED_OFF
    if machine.mounts.in_memory(wish.path):
        return State.MOUNTED, f"{wish.path} is in memory"
    why = _refused(wish.path, wish.size_gb, machine)
    if not why:
        return State.MOUNTED, f"the server mounts {wish.path}"
    if machine.mounts.in_memory(machine.shared):
        return State.FALLBACK, f"{machine.shared} is used, since {why}"
    return State.OFF, f"{why}; {machine.shared} is not in memory either"


def _refused(path: Path, size_gb: float, machine: Machine) -> str:
    """Why a server could not mount it, as far as can be known; nothing if it could."""
    if path.is_dir():
        if why := _hiding(path):
            return why
    elif not os.access(_existing(path), os.W_OK):
        return f"{path} is missing; run: sudo mkdir -p {shlex.quote(str(path))}"
    command = machine.mounts.mounting(path, machine.capped(int(size_gb * GIB)))
    may = command[0] != "sudo" or not machine.run(["sudo", "-n", "-l", *command[2:]])
    return "" if may else f"{path} cannot be mounted without a password; run: {told(command)}"


def told(command: list[str]) -> str:
    """The command as a user types it."""
    plain = command[2:] if command[:2] == ["sudo", "-n"] else command
    return f"sudo {shlex.join(plain)}"


def unmount(path: Path, machine: Machine) -> str:
    """Unmount what a server has mounted, if nothing else is on it; why not, or nothing if it is done."""
    mark = path / MARK
    try:
        others = sorted(each.name for each in path.iterdir() if each != mark)
        if others or mark.lstat().st_uid != os.getuid():
            return f"{path} stays mounted: {', '.join(others) or 'it'} is not of this server"
    except OSError:
        return f"{path} was not mounted by hoshikage"
    return machine.run(machine.mounts.unmounting(path))


def _mount(path: Path, size_gb: float, machine: Machine) -> str:
    """Mount it; why that failed, or nothing."""
    if why := obstacle(path, machine):
        return why
    command = machine.mounts.mounting(path, machine.capped(int(size_gb * GIB)))
    if why := machine.run(command):
        return f"{path} could not be mounted ({why}); run: {told(command)}"
    if machine.mounts.in_memory(path) is None:
        return f"{path} was mounted and is not to be seen"
    (path / MARK).touch(mode=0o600)
    return ""


def _fallback(wish: Wish, machine: Machine, why: str) -> Place:
    if machine.mounts.in_memory(machine.shared) is None:
        return Place(State.OFF, f"{why}; {machine.shared} is not in memory either")
    try:
        base = _private_in(machine.shared)
        folder = base / wish.key
        folder.mkdir(mode=PRIVATE, exist_ok=True)
        _check(folder)
    except OSError as error:
        return Place(State.OFF, f"{why}; {machine.shared} cannot be used either: {error.strerror or error}")
    return Place(State.FALLBACK, f"{base} is used, since {why}", base, folder)


def _private(root: Path) -> Path:
    """`root` where it is this user's alone, else a folder of this user in it. Raises OSError."""
    found = root.lstat()
    if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == PRIVATE:
        return root
    return _private_in(root)


def _private_in(root: Path) -> Path:
    mode = root.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise PermissionError(0, "others may replace what lies in it")
    folder = root / f"hoshikage-{os.getuid()}"
    folder.mkdir(mode=PRIVATE, exist_ok=True)
    _check(folder)
    return folder


def _check(folder: Path) -> None:
    """Raises OSError unless the folder is a real one, of this user, for this user only."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(0, f"{folder} is not a folder of this user")
    if stat.S_IMODE(found.st_mode) != PRIVATE:
        folder.chmod(PRIVATE)


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
