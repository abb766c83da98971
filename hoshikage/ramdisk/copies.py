"""Copies of model files on the RAM disk: a folder each, with a manifest of its sources, published by rename.

A set is what must lie side by side: a model's file or all its shards, or one adapter. Knows no budget.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import DecodeError, Struct, json

MODELS = "models"
MANIFEST = ".manifest.json"
PARTIAL = ".partial"
CHUNK_BYTES = 1 << 20
NAME_BYTES = 16

Set = tuple[Path, ...]
Going = Callable[[int], None]
"""Told after each chunk how many bytes are still to come; raises to end the copying."""


class Changed(Exception):
    """A source is not what it was when its copying began."""


class Source(Struct, frozen=True):
    """A file that was copied, and by what it is known to be the same still."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class Manifest(Struct, frozen=True):
    """The sources of a set in their order; the copies bear their names."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a set; `used_ns` is when it was last used, in Unix nanoseconds."""

    name: str
    first: Path
    size: int
    used_ns: int


class Copies:
    """The copies in one folder of the RAM disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / MODELS

    def find(self, files: Set) -> Copy | None:
        """The copy of a set; a stale one is removed."""
        unit = self._unit(files)
        manifest = _manifest(unit)
        if manifest is not None and _valid(unit, manifest) and manifest.sources == _sources(files):
            return _copy(unit, manifest)
        self.remove(unit.name)
        return None

    def all(self) -> list[Copy]:
        """Those that are published."""
        found = ((unit, _manifest(unit)) for unit in self._units() if unit.suffix != PARTIAL)
        return [_copy(unit, manifest) for unit, manifest in found if manifest is not None]

    def touch(self, name: str) -> None:
        """It is used now."""
        now = time.time_ns()  # the kernel's own clock of files stands still for milliseconds
        os.utime(self._folder / name, ns=(now, now))

    def remove(self, name: str) -> None:
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def sweep(self) -> list[str]:
        """Remove what a crash has left: half copies, and those without a manifest that still holds."""
        gone = [*self.stale(), *(unit.name for unit in self._units() if unit.suffix == PARTIAL)]
        for name in gone:
            self.remove(name)
        return gone

    def stale(self) -> list[str]:
        """Those published whose sources are gone or not what they were."""
        found = ((unit, _manifest(unit)) for unit in self._units() if unit.suffix != PARTIAL)
        return [unit.name for unit, manifest in found if manifest is None or not _valid(unit, manifest)]

    def prepare(self) -> None:
        """Make the folder of the copies; write() does not, so that nothing is written where the disk is gone."""
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def write(self, files: Set, going: Going) -> Copy:
        """Copy a set and publish it. Raises Changed, OSError, or what `going` raises; nothing is left then."""
        unit, sources = self._unit(files), _sources(files)
        partial = unit.with_suffix(PARTIAL)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        try:
            left = sum(source.size for source in sources)
            for source in sources:
                left = _write(Path(source.path), partial, left, going)
            if _sources(files) != sources:
                raise Changed(f"{files[0]} changed while it was copied")
            (partial / MANIFEST).write_bytes(json.encode(Manifest(sources)))
            self.remove(unit.name)
            partial.rename(unit)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return _copy(unit, Manifest(sources))

    def _unit(self, files: Set) -> Path:
        return self._folder / hashlib.blake2b(os.fsencode(files[0]), digest_size=NAME_BYTES).hexdigest()

    def _units(self) -> list[Path]:
        return sorted(self._folder.iterdir()) if self._folder.is_dir() else []


def bytes_of(files: Sequence[Path]) -> int:
    """Raises OSError."""
    return sum(path.stat().st_size for path in files)


def _write(source: Path, folder: Path, left: int, going: Going) -> int:
    """Copy one file; returns how many bytes of the set are still to come."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with source.open("rb", buffering=0) as reading, os.fdopen(os.open(folder / source.name, flags, 0o600), "wb") as to:
        while chunk := reading.read(CHUNK_BYTES):
            to.write(chunk)
            left -= len(chunk)
            going(left)
    return left


def _sources(files: Set) -> tuple[Source, ...]:
    """Raises OSError."""
    found = [(path, path.stat()) for path in files]
    return tuple(Source(str(path), s.st_size, s.st_mtime_ns, s.st_ino) for path, s in found)


def _manifest(unit: Path) -> Manifest | None:
    try:
        return json.decode((unit / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, DecodeError):
        return None


def _valid(unit: Path, manifest: Manifest) -> bool:
    """Whether the sources are what they were, and the copies whole."""
    paths = tuple(Path(source.path) for source in manifest.sources)
    try:
        whole = all(
            (unit / path.name).stat().st_size == s.size for path, s in zip(paths, manifest.sources, strict=True)
        )
        return bool(paths) and whole and _sources(paths) == manifest.sources
    except OSError:
        return False


def _copy(unit: Path, manifest: Manifest) -> Copy:
    size = sum(source.size for source in manifest.sources)
    return Copy(unit.name, unit / Path(manifest.sources[0].path).name, size, unit.stat().st_mtime_ns)
