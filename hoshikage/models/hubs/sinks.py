"""Where the bytes of a download go: into a file that a later pull continues, or into memory. Hashed as they come."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from hoshikage import atomic
from hoshikage.models.space import filling

CHUNK_BYTES = 1 << 20
TELL_SECONDS = 0.06


class Sink(Protocol):
    """`size` counts the bytes it holds."""

    @property
    def size(self) -> int: ...

    def write(self, data: bytes) -> None: ...

    def clear(self) -> None: ...

    def sha256(self) -> str: ...


class Memory:
    """For what is small."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def data(self) -> bytes:
        return bytes(self._data)

    def write(self, data: bytes) -> None:
        self._data += data

    def clear(self) -> None:
        self._data.clear()

    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()


class Partial:
    """An unfinished file. What it holds already counts once `kept` has hashed it."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._path = path
        self._digest = hashlib.sha256()
        self._file: IO[bytes] = path.open("a+b", buffering=0)  # a failed write leaves nothing in a buffer

    def close(self) -> None:
        self._file.close()

    def kept(self) -> Iterator[int]:
        """Hash what an earlier pull left; yields how far it is, every TELL_SECONDS."""
        self._file.seek(0)
        told = time.monotonic()
        while chunk := self._file.read(CHUNK_BYTES):
            self._digest.update(chunk)
            self.size += len(chunk)
            if time.monotonic() - told >= TELL_SECONDS:
                yield self.size
                told = time.monotonic()

    def write(self, data: bytes) -> None:
        """Raises DiskFull, and then holds what was written before."""
        rest = memoryview(data)
        with filling(self._path.parent, lambda: len(rest)):
            while rest:
                count = self._file.write(rest)
                self._digest.update(rest[:count])
                self.size += count
                rest = rest[count:]

    def clear(self) -> None:
        self._file.truncate(0)
        self._digest, self.size = hashlib.sha256(), 0

    def sha256(self) -> str:
        return self._digest.hexdigest()

    def publish(self, target: Path) -> None:
        """Give the file its name, for good."""
        os.fsync(self._file.fileno())
        self._path.replace(target)
        atomic.sync_folder(target.parent)
