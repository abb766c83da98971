"""A load from the RAM disk against one from the disk with the file's pages dropped, through the whole server.

Weights are mapped: a load ends before all of them are read, so the pairs are also compared until the first token, for
which they all must be. What is not reading is told by loads whose file is in the page cache. Target ≤ 1.0 x.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from compat.peers import pages
from compat.peers.answers import Answer, answer, staged, status
from compat.peers.findings import Chosen, Finding, Findings, main, ratios
from compat.peers.harness import MODELS
from compat.peers.sides import Ours
from tests.conftest import pulled

BOUND = 1.0
PROMPT = "Hi"
MB = 1e6


@dataclass(frozen=True, slots=True)
class Loaders:
    """Two servers with one model file, `ram` with its copy on the RAM disk, `disk` without a RAM disk."""

    path: Path
    ram: Ours
    disk: Ours

    @classmethod
    def made(cls, folder: Path, path: Path, within: Sequence[str] = (), **settings: str) -> "Loaders":
        """With homes in `folder`; `within` is what the servers' commands begin with."""
        ram, disk = Ours(folder / "ram", path, **settings), Ours(folder / "disk", path, RAMDISK_PATH="off", **settings)
        ram.within = disk.within = within
        return cls(path, ram, disk)


@dataclass(slots=True)
class Rounds:
    """What came of the rounds, a value each; speeds in bytes a second, `read` in bytes."""

    ram: list[Answer] = field(default_factory=list)
    cold: list[Answer] = field(default_factory=list)
    warm: list[Answer] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    read: list[int] = field(default_factory=list)


async def loading(chosen: Chosen) -> Findings:
    rows, notes = [], []
    for model in chosen.models:
        letter, path = MODELS[model][0], pulled(MODELS[model][1])
        with own(path) as file:
            sides = Loaders.made(file.parent, file)
            async with running(sides):
                found = await rounds(sides, chosen.pairs)
            rows += compared(found, letter, BOUND)
            notes.append(f"{letter}: {described(found, file)}")
    return Findings(rows, notes)


@contextmanager
def own(path: Path) -> Iterator[Path]:
    """Another file of the same bytes on the same disk: pages that somebody else has mapped cannot be dropped."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        yield Path(shutil.copyfile(path, Path(folder) / path.name))


@asynccontextmanager
async def running(sides: Loaders) -> AsyncIterator[None]:
    """Both servers, the model's copy made and no model loaded."""
    with ExitStack() as stack:
        for side in (sides.ram, sides.disk):
            stack.callback(side.stop)
            await side.start()
        await staged(sides.ram)
        await sides.disk.unload()
        yield


async def rounds(sides: Loaders, pairs: int, *, warm: bool = True) -> Rounds:
    """The RAM disk comes first in even rounds, last in odd ones; `warm` has loads from the page cache in each too."""
    found = Rounds()
    for number in range(pairs):
        order = [from_ram, from_disk]
        for load in order if number % 2 == 0 else reversed(order):
            await load(sides, found)
        found.speeds.append(await asyncio.to_thread(pages.disk_speed, sides.path))
        if warm:
            sides.path.read_bytes()
            found.warm.append(await loaded(sides.disk))
    return found


async def from_ram(sides: Loaders, found: Rounds) -> None:
    """The original's pages are dropped here too: nothing of it may be needed."""
    pages.drop(sides.path)
    found.ram.append(await loaded(sides.ram))


async def from_disk(sides: Loaders, found: Rounds) -> None:
    pages.drop(sides.path)
    found.cold.append(answer(sides.disk, PROMPT))
    [worker] = status(sides.disk).models
    found.read.append(pages.read_from_disk(worker.pid))
    await sides.disk.unload()


async def loaded(side: Ours) -> Answer:
    """A load and its first token; nothing is loaded afterwards."""
    answered = answer(side, PROMPT)
    await side.unload()
    return answered


def compared(found: Rounds, letter: str, bound: float, where: str = "") -> list[Finding]:
    """A row for the load alone and one until the first token."""
    rows = []
    for of, what in (("load_seconds", "load"), ("seconds", "load and first token")):
        ours, theirs = values(found.ram, of), values(found.cold, of)
        each = ratios(ours, theirs)
        ratio = statistics.median(each)
        spread = f"{ratio:.2f} x ({min(each):.2f} to {max(each):.2f})"
        times = f"{statistics.median(ours):.3f} s against {statistics.median(theirs):.3f} s"
        name = f"{what} from the RAM disk against the cold disk{where}"
        rows.append(Finding(name, letter, f"≤ {bound:.1f} x", f"{spread}, {times}", ratio <= bound))
    return rows


def described(found: Rounds, path: Path) -> str:
    """The disk, what of the load is not reading, and that the cold loads were cold."""
    size, speed, read = path.stat().st_size, statistics.median(found.speeds), statistics.median(found.read)
    text = f"{size / MB:.0f} MB, disk {speed / MB:.0f} MB/s; a cold load reads {read / MB:.0f} MB from the disk"
    if not found.warm:
        return text
    alone, first = share(found, "load_seconds"), share(found, "seconds")
    return f"{text}; {alone:.0%} of the load is not reading, {first:.0%} of that with the first token"


def share(found: Rounds, of: str) -> float:
    """What a load from the page cache takes of one from the cold disk."""
    return statistics.median(ratios(values(found.warm, of), values(found.cold, of)))


def values(answers: Sequence[Answer], of: str) -> list[float]:
    return [float(getattr(each, of)) for each in answers]


if __name__ == "__main__":
    sys.exit(main(loading))
