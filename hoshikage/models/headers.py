"""Headers of model files, read once a version of the file: a vocabulary takes tens of milliseconds to pass over."""

import functools
from pathlib import Path

from hoshikage.models.gguf import Header, read_header

MOST = 64


def header_of(path: Path) -> Header:
    """As read_header(); the same one while size, mtime and inode stay. Raises FileMissing or NotGguf."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return read_header(path)  # which raises in the words of what it meets
    return _header(path, found.st_size, found.st_mtime_ns, found.st_ino)


@functools.lru_cache(maxsize=MOST)
def _header(path: Path, _size: int, _mtime_ns: int, _inode: int) -> Header:
    return read_header(path)
