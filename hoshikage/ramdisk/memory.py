"""How much memory there is for this process: the machine's, or less where its cgroup says so. Knows no tmpfs.

The one owner of that question: copies, KV caches and loads are sized by it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEPT_SHARE = 10
"""A tenth of the memory stays free for everybody else: no copy of a model is worth swapping for."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Where the kernel tells it; `proc` is /proc, `cgroups` where the control groups are mounted."""

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")

    def total(self) -> int:
        """Bytes that this process and its children could have at most."""
        whole = _meminfo(self.proc).get("MemTotal") or _elsewhere()[0]
        return min([whole, *(limit for limit, _ in self._limits())])

    def available(self) -> int:
        """Bytes that can be had without swapping; pages of files that could be read again count as free."""
        machine = _meminfo(self.proc).get("MemAvailable") or _elsewhere()[1]
        return min([machine, *(limit - used for limit, used in self._limits())])

    def spare(self) -> int:
        """Bytes that copies may still take; negative where there are too many already."""
        return self.available() - self.total() // KEPT_SHARE

    def short(self) -> int:
        """Bytes that are missing to half of what must stay free; negative where nothing is."""
        return self.total() // KEPT_SHARE // 2 - self.available()

    def _limits(self) -> Iterator[tuple[int, int]]:
        """Limit and use of the process's control group and of those around it, in version 2 and in version 1."""
        for line in _lines(self.proc / "self/cgroup"):
            _, controllers, name = line.split(":", 2)
            if not controllers:
                yield from _walk(self.cgroups, name, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
                yield from _walk(self.cgroups / "memory", name, *names)


def _elsewhere() -> tuple[int, int]:
    """All memory and what is available of it, on systems without /proc. psutil's import is spared where it is not."""
    import psutil

    found = psutil.virtual_memory()
    return int(found.total), int(found.available)


def _walk(root: Path, name: str, limit: str, usage: str, cached: str) -> Iterator[tuple[int, int]]:
    group = root / name.lstrip("/")
    for folder in (group, *(each for each in group.parents if each.is_relative_to(root))):
        most, used = _number(folder / limit), _number(folder / usage)
        if most is not None and used is not None:
            rows = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat") if " " in line)
            yield most, used - int(rows.get(cached, 0))


def _meminfo(proc: Path) -> dict[str, int]:
    rows = (line.split() for line in _lines(proc / "meminfo"))
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) == 3}


def _number(file: Path) -> int | None:
    text = "".join(_lines(file))
    return int(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
