"""The folder of an unfinished pull, beside the file it becomes, so that publishing is a rename. Knows no model.

Whoever works in it holds its lock, so a free lock means that its owner is gone. A process id would not tell: in
containers it is soon another's, or our own. What is left there to be continued is the file MODEL; all else is scratch.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PREFIX, SUFFIX = ".pull-", ".partial"
LOCK = "lock"
MODEL = "model"
KEEP_SECONDS = 7 * 24 * 3600.0
"""How long an unfinished file waits to be continued before the pull of another model removes it."""


def place(folder: Path, sha256: str) -> Path:
    """Where the file with this digest is put together. Every pull of it uses the same folder, so the next finds it."""
    return folder / f"{PREFIX}{sha256[:16]}{SUFFIX}"


def take(work: Path) -> IO[str] | None:
    """The lock of the folder, which is made if need be; None while another holds it. Closing it gives it up."""
    with suppress(FileNotFoundError):  # removed by its last owner between two of these lines
        work.mkdir(parents=True, exist_ok=True)
        return taken(work / LOCK)
    return None


def taken(path: Path) -> IO[str] | None:
    """The lock; None while another holds it, or has just removed it."""
    lock = path.open("a")
    if locked(lock, path):
        return lock
    lock.close()
    return None


def locked(lock: IO[str], path: Path) -> bool:
    """Whether we hold it now, and it is still the one that others will find."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(lock.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


@contextmanager
def tidied(work: Path, lock: IO[str]) -> Iterator[None]:
    """Work in a folder whose lock is held; leaves it tidy and unlocked."""
    with lock:
        try:
            yield
        finally:
            tidy(work)


def clean(folder: Path) -> None:
    """Tidy up after the pulls that were killed; the folders of living ones stay as they are."""
    for left in folder.glob(f"{PREFIX}*{SUFFIX}"):
        if lock := take(left):
            with lock:
                tidy(left)


def tidy(work: Path) -> None:
    """Remove the scratch; the whole folder if there is nothing to continue, or nobody did for KEEP_SECONDS."""
    model = work / MODEL
    if not model.is_file() or not model.stat().st_size or time.time() - model.stat().st_mtime > KEEP_SECONDS:
        shutil.rmtree(work, ignore_errors=True)
        return
    for each in work.iterdir():
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        elif each.name not in {MODEL, LOCK}:
            each.unlink(missing_ok=True)
