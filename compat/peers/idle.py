"""What the server costs once its model is unloaded, and while somebody looks at it all the time.

Targets 60 s after the last request with keep_alive 0: no child process, at most 80 MB, 0.0 % CPU over 30 s.
"""

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from compat.peers.answers import answer
from compat.peers.findings import NO_MODEL, Chosen, Finding, Findings, main
from compat.peers.sides import Ours
from tests.conftest import pulled

MEGABYTES, PERCENT = 80.0, 0.05
"""0.0 % is what rounds to it."""
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
CPU_FIELDS = slice(11, 13)
"""utime and stime in /proc/PID/stat, counted from the state behind the name."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one process since its start: CPU in ticks, and how often its threads have gone to sleep."""

    ticks: int
    sleeps: int


async def idle(chosen: Chosen) -> Findings:
    async with starter() as side:
        answer(side, "Good morning", keep_alive=0)
        await asyncio.sleep(chosen.wait)
        pid = side.pid
        before, children = counts(pid), children_of(pid)
        await asyncio.sleep(chosen.seconds)
        after, children = counts(pid), children | children_of(pid)
        resident, proportional = megabytes(pid)
    cpu, sleeps = spent(before, after, chosen.seconds)
    when = f"{chosen.wait:.0f} s after the last request, keep_alive 0"
    rows = [
        Finding(f"child processes {when}", NO_MODEL, "0", str(len(children)), not children),
        Finding(
            f"gateway's memory {when}",
            NO_MODEL,
            f"≤ {MEGABYTES:.0f} MB",
            f"{resident:.1f} MB resident, {proportional:.1f} MB proportional",
            resident <= MEGABYTES,
        ),
        Finding(
            f"gateway's CPU over {chosen.seconds:.0f} s",
            NO_MODEL,
            "0.0 %",
            f"{cpu:.2f} % ({after.ticks - before.ticks} ticks of {1000 // TICKS_A_SECOND} ms), {sleeps:.1f} wakes/s",
            cpu < PERCENT,
        ),
    ]
    return Findings(rows)


@contextlib.asynccontextmanager
async def starter(**settings: str) -> AsyncIterator[Ours]:
    """A server of its own with the starter model."""
    with tempfile.TemporaryDirectory() as folder:
        side = Ours(Path(folder) / "ours", pulled("starter"), **settings)
        try:
            await side.start()
            yield side
        finally:
            side.stop()


def counts(pid: int) -> Counts:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    threads = Path(f"/proc/{pid}/task").glob("*/status")
    sleeps = [re.search(r"^voluntary_ctxt_switches:\s+(\d+)", each.read_text(), re.MULTILINE) for each in threads]
    return Counts(sum(map(int, fields[CPU_FIELDS])), sum(int(found[1]) for found in sleeps if found))


def spent(before: Counts, after: Counts, seconds: float) -> tuple[float, float]:
    """Per cent of one core, and wakes a second."""
    cpu = (after.ticks - before.ticks) / TICKS_A_SECOND / seconds * 100
    return cpu, (after.sleeps - before.sleeps) / seconds


def children_of(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def megabytes(pid: int) -> tuple[float, float]:
    """Resident, and with shared pages divided among those who share them."""
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE))
    return int(found["Rss"]) * 1024 / 1e6, int(found["Pss"]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main(idle))
