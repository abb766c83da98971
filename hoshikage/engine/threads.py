"""How many threads llama.cpp should compute with: as many as there are cores for this process. Knows Linux's files."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def physical_cores(root: Path = ROOT) -> int:
    """The physical cores this process may use: hyper-threads of one core only get in each other's way.

    By its affinity, and by the CPU time that its control groups leave it. A part of a core makes no thread: one thread
    too many uses the time up before its period ends, and all of them, which wait for each other in every step, stand
    still until the next; the part is left to the gateway. `root` is where /proc and /sys lie.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    siblings = {_siblings(root, cpu) for cpu in allowed}
    return max(1, int(min(len(siblings), quota(root))))


def quota(root: Path = ROOT) -> float:
    """Cores that the control groups of this process and those around it leave it; math.inf = all there are.

    Version 2 says it in cpu.max, version 1 in cpu.cfs_quota_us and cpu.cfs_period_us (Linux's cgroup-v2.rst and
    sched-bwc.rst).
    """
    return min(_limits(root), default=math.inf)


def _limits(root: Path) -> Iterator[float]:
    mounts = list(_mounts(root))
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        named = set(controllers.split(",")) if controllers else set()
        if named and "cpu" not in named:
            continue
        for inside, point, wanted in mounts:
            if wanted == named or "cpu" in named & wanted:
                yield from filter(None, map(_limit, _groups(root / point.lstrip("/"), inside, group)))


def _mounts(root: Path) -> Iterator[tuple[str, str, set[str]]]:
    """The folder of the hierarchy that is mounted, where, and its controllers; none for version 2 (proc(5))."""
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        fields, named = place.split(), kind.split()
        if named[:1] == ["cgroup2"]:
            yield fields[3], fields[4], set()
        elif named[:1] == ["cgroup"]:
            yield fields[3], fields[4], set(named[-1].split(","))


def _groups(point: Path, inside: str, group: str) -> Iterator[Path]:
    """The group's folder and those above it, as far as they are mounted; a foreign one's is the mount itself."""
    base, own = Path(inside), Path(group)
    below = own.relative_to(base) if own.is_relative_to(base) and ".." not in own.parts else Path()
    for part in (below, *below.parents):
        yield point / part


def _limit(folder: Path) -> float | None:
    """The cores of one group; None if it has no bound."""
    times = " ".join(_lines(folder / "cpu.max"))
    if not times:
        times = " ".join(line for name in ("quota", "period") for line in _lines(folder / f"cpu.cfs_{name}_us"))
    most, _, period = times.partition(" ")
    return int(most) / int(period) if most.isdecimal() and period.isdecimal() and int(period) else None


def _siblings(root: Path, cpu: int) -> str:
    found = _lines(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return found[0].strip() if found else str(cpu)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
