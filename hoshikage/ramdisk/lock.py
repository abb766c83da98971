"""One server at a time has a RAM disk: a file locked by flock, which the kernel frees when its process ends."""

import fcntl
import os
from pathlib import Path

LOCK = ".lock"
TRIES = 10


class Busy(Exception):
    """Another server holds the lock; its text tells which."""


class Lock:
    """Held from its making until release(). Raises Busy or OSError."""

    def __init__(self, folder: Path, note: str) -> None:
        self._path = folder / LOCK
        self._handle = self._taken()
        os.truncate(self._handle, 0)
        os.write(self._handle, note.encode())

    def release(self) -> None:
        """The file goes first: who opens it later makes a new one."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)

    def _taken(self) -> int:
        for _ in range(TRIES):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                note = os.pread(handle, 1 << 12, 0).decode(errors="replace")
                os.close(handle)
                raise Busy(note or "another server") from None
            if self._still(handle):
                return handle
            os.close(handle)  # its holder has removed it meanwhile
        raise Busy("another server")

    def _still(self, handle: int) -> bool:
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(handle))
        except FileNotFoundError:
            return False
