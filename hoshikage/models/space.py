"""Room on a disk: how much there is, and a disk that fills up while it is written to. Knows no file."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hoshikage.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(folder: Path) -> int:
    """Of the disk that the folder is on, or will be."""
    return shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.exists())).free


@contextmanager
def filling(folder: Path, needed: Callable[[], object], free: Callable[[Path], int] = free_bytes) -> Iterator[None]:
    """Writing below `folder`: a disk without room raises DiskFull, by how many bytes are needed at that moment."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFull(folder=folder, free=free(folder), needed=needed()) from error
