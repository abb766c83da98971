"""Files that are whole at any moment: written beside, flushed, then renamed. Knows no content."""

import os
from collections.abc import Callable
from pathlib import Path


def write(path: Path, data: bytes, mode: int | None = None, *, flush: bool = True, sync: bool = True) -> None:
    """Replace `path` by `data`; a reader, or a crash at any point, finds the old content or the new one.

    A new file gets `mode`, an old one too; without it, the old file's mode stays. Each of `flush` and `sync` takes
    milliseconds: without `sync` a power cut may bring the old content back, without `flush` it may leave none.
    """
    path = path.resolve()  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb", opener=opener(0o666 if mode is None else mode)) as file:
            file.write(data)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        if mode is None and path.exists():
            partial.chmod(path.stat().st_mode & 0o777)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    if flush and sync:
        sync_folder(path.parent)


def opener(mode: int) -> Callable[[str, int], int]:
    """Opens new files with `mode`, so that they are at no moment more open than that."""
    return lambda path, flags: os.open(path, flags, mode)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last through a power cut."""
    if os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
