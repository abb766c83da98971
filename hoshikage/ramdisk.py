"""The RAM disk: a folder of this user and this home in memory, and why there is none. Knows no engine."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  checked for its owner and mode below
MOUNTS = Path("/proc/mounts")
PRIVATE = 0o700
KEY_BYTES = 6


@dataclass(frozen=True, slots=True)
class Ramdisk:
    """`folder` is None where there is no RAM disk; `reason` tells why it is this one, or none."""

    folder: Path | None
    reason: str


def find(wanted: Path, home: Path, shared: Path = SHARED_MEMORY, mounts: Path = MOUNTS) -> Ramdisk:
    """A private folder on the tmpfs `wanted`, else in shared memory. Two homes of a user have two folders."""
    key = hashlib.blake2b(str(home.resolve()).encode(), digest_size=KEY_BYTES).hexdigest()
    in_memory = _tmpfs(mounts)
    if wanted in in_memory and os.access(wanted, os.W_OK):
        return _opened(wanted, key, f"RAMDISK_PATH is the RAM disk {wanted}")
    if shared not in in_memory:
        return Ramdisk(None, f"neither {wanted} nor {shared} is a RAM disk")
    return _opened(shared / f"hoshikage-{os.getuid()}", key, f"{wanted} is no RAM disk; {shared} is used")


def _opened(folder: Path, key: str, reason: str) -> Ramdisk:
    try:
        folder.mkdir(mode=PRIVATE, exist_ok=True)
        _check(folder)
        (folder / key).mkdir(mode=PRIVATE, exist_ok=True)
        _check(folder / key)
    except OSError as error:
        return Ramdisk(None, f"{folder} cannot be used: {error.strerror or error}")
    return Ramdisk(folder / key, reason)


def _check(folder: Path) -> None:
    """Raises OSError unless the folder is a real one, of this user, for this user only."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(0, "it is not a folder of this user")
    if stat.S_IMODE(found.st_mode) != PRIVATE:
        folder.chmod(PRIVATE)


def _tmpfs(mounts: Path) -> set[Path]:
    """The mount points of file systems in memory."""
    try:
        rows = [line.split() for line in mounts.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return set()
    return {Path(row[1].replace("\\040", " ")) for row in rows if row[2] in {"tmpfs", "ramfs"}}
