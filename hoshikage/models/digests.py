"""The sha256 of files, each computed once a version: by size, mtime and inode. Knows no model.

A file in a content-addressed store (Ollama's, Hugging Face's, our blobs) has its digest in its name, which was checked
when it was written there.
"""

import hashlib
import os
import re
from collections.abc import Generator, Iterable
from pathlib import Path

import msgspec
from filelock import FileLock
from msgspec import Struct

from hoshikage import atomic

AT_ONCE_BYTES = 1 << 30
"""Files up to this size are hashed at once, larger ones in the background."""
SAMPLE_BYTES = 1 << 20
CHUNK_BYTES = 4 << 20
LOCK_SECONDS = 60
_NAMED = re.compile(r"(?:sha256[-:])?([0-9a-f]{64})")

Steps = Generator[tuple[int, int], None, str]
"""Tells how many bytes of how many are hashed; returns the digest."""


class Known(Struct, frozen=True, array_like=True):
    """A file's digest, and the version of it that has this digest."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str


class Digest(Struct, frozen=True):
    """64 hexadecimal digits; `exact` tells that they are of the whole file and not of a sample."""

    sha256: str
    exact: bool
    size: int


class Digests:
    """What is known is kept in `file`; losing it costs only time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = FileLock(f"{file}.lock", timeout=LOCK_SECONDS)
        self._known: dict[str, Known] = {}
        self._read: os.stat_result | None = None

    def of(self, path: Path) -> Digest:
        """The digest, where that is known or quickly found; else one of a sample. Raises OSError."""
        found = path.stat()
        sha256 = self.known(path)
        if sha256 is None and found.st_size <= AT_ONCE_BYTES:
            sha256 = self.whole(path)
        return Digest(sha256 or sample_digest(path), sha256 is not None, found.st_size)

    def known(self, path: Path) -> str | None:
        """The digest of the whole file without reading it. Raises OSError."""
        if named := _NAMED.fullmatch(path.resolve().name):
            return named[1]
        self._refresh()
        known = self._known.get(str(path))
        return known.sha256 if known and known == _version(path, known.sha256) else None

    def whole(self, path: Path) -> str:
        """The digest, after reading the whole file if need be. Raises OSError."""
        steps = self.steps(path)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            return str(end.value)

    def steps(self, path: Path) -> Steps:
        """The same, telling how far it is. Raises OSError."""
        if known := self.known(path):
            return known
        before = _version(path, "")
        sha256 = yield from reading(path)
        if before == _version(path, ""):  # else it was written to while it was read
            self.remember(path, sha256)
        return sha256

    def remember(self, path: Path, sha256: str) -> None:
        """Keep the digest of the file as it is now; forgets files that are gone. Raises OSError."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._refresh()
            kept = {name: known for name, known in self._known.items() if os.path.exists(name)}  # noqa: PTH110 - fast
            self._known = {**kept, str(path): _version(path, sha256)}
            atomic.write(self._file, msgspec.json.encode(self._known))

    def _refresh(self) -> None:
        try:
            found = self._file.stat()
            if self._read is None or (found.st_ino, found.st_mtime_ns) != (self._read.st_ino, self._read.st_mtime_ns):
                self._known = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Known])
                self._read = found
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            self._known, self._read = {}, None


def _version(path: Path, sha256: str) -> Known:
    found = path.stat()
    return Known(found.st_size, found.st_mtime_ns, found.st_ino, sha256)


def reading(file: Path) -> Steps:
    """The sha256 of a whole file, read once with a few MiB of memory. Raises OSError."""
    digest, done = hashlib.sha256(), 0
    with file.open("rb", buffering=0) as opened:
        total, buffer = os.fstat(opened.fileno()).st_size, memoryview(bytearray(CHUNK_BYTES))
        while count := opened.readinto(buffer):
            digest.update(buffer[:count])
            done += count
            yield done, total
    return digest.hexdigest()


def file_digest(file: Path) -> str:
    """The sha256 of a whole file. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sample_digest(file: Path) -> str:
    """What stands for a large file's sha256 until that is known: its size, its first and its last MiB."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as opened:
        digest.update(opened.read(SAMPLE_BYTES))
        opened.seek(max(0, size - SAMPLE_BYTES))
        digest.update(opened.read(SAMPLE_BYTES))
    return digest.hexdigest()


def all_exact(digests: Iterable[Digest]) -> bool:
    return all(each.exact for each in digests)
