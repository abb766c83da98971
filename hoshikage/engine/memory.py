"""How much memory of the machine there is for a KV cache. Knows Linux and what POSIX tells; a GPU's own not yet."""

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")


def free_bytes(meminfo: Path = MEMINFO) -> int:
    """Memory that can be used without swapping; half of all there is where the system does not tell."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
