"""One pull per blob, over all processes: who has the lock fetches it, the others watch it grow. Knows no hub."""

import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from hoshikage.models import blobs
from hoshikage.models.hubs import workplace

WAIT_SECONDS = 0.2


def waited(blob: Path) -> Generator[int, None, AbstractContextManager[None]]:
    """The lock, once no other pull holds it; meanwhile the bytes that the other has."""
    path = lock_of(blob)
    while not (lock := workplace.taken(path)):
        yield blobs.size_of(blobs.partial(blob))
        time.sleep(WAIT_SECONDS)
    return held(lock, path)


def clean(folder: Path) -> None:
    """Remove what nobody has continued for workplace.KEEP_SECONDS, as far as nobody is at it."""
    for left in folder.glob(f"*{blobs.PARTIAL}"):
        path = lock_of(left.with_name(left.name.removesuffix(blobs.PARTIAL)))
        if time.time() - left.stat().st_mtime > workplace.KEEP_SECONDS and (lock := workplace.taken(path)):
            with held(lock, path):
                left.unlink(missing_ok=True)


def lock_of(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}{blobs.LOCK}")


@contextmanager
def held(lock: IO[str], path: Path) -> Iterator[None]:
    """Leaves nothing: a lock that is removed while it is held is nobody's, and `locked` tells."""
    with lock:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
