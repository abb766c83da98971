"""A disk that reads at most so many bytes a second for some programs: the kernel's own limit, by a control group.

The blkio controller of cgroup v1, as root. Knows no model.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path("/sys/fs/cgroup/blkio")
LIMIT = "blkio.throttle.read_bps_device"
ENTER = 'echo $$ > "$0"/cgroup.procs && exec "$@"'


def obstacle() -> str:
    """Why there can be no such disk here; nothing if there can."""
    if not (ROOT / LIMIT).exists():
        return f"there is no blkio controller of cgroup v1 at {ROOT}"
    return "" if os.access(ROOT, os.W_OK) else f"{ROOT} may not be written to"


@contextlib.contextmanager
def slow_disk(path: Path, bytes_a_second: int) -> Iterator[Sequence[str]]:
    """The words before a command that make it and its children read the disk of `path` no faster.

    They must have ended at the end of the context. Raises OSError.
    """
    group = ROOT / f"hoshikage-bench-{os.getpid()}"
    group.mkdir()
    try:
        (group / LIMIT).write_text(f"{disk_of(path)} {bytes_a_second}")
        yield "sh", "-c", ENTER, str(group)
    finally:
        group.rmdir()


def disk_of(path: Path) -> str:
    """Major and minor number of the whole disk that a file lies on: a partition cannot be limited."""
    device = path.stat().st_dev
    found = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    whole = found.parent if (found / "partition").exists() else found
    return (whole / "dev").read_text(encoding="ascii").strip()
