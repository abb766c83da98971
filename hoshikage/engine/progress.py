"""Tells the gateway how much of a model is loaded, and ends a load that nobody waits for. Runs in the worker.

llama.cpp reports what it has put in its place. Weights that are mapped are read before that, inside one call of the
system's: there the memory that is mapped tells how far it is.
"""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from hoshikage.engine import wire

STEP = 0.01
"""No more is said than every hundredth."""
LOOK_SECONDS = 0.2
STATUS = Path("/proc/self/status")
_MAPPED = re.compile(r"^Rss(?:File|Shmem):\s+(\d+) kB", re.MULTILINE)


class Teller:
    """Says what has changed by a hundredth. For two threads: the one that loads, and one that looks meanwhile."""

    def __init__(self, link: socket.socket, load: wire.Load) -> None:
        self._link = link
        self._bytes = sum(_size(path) for path in (load.path, load.draft_path, *load.adapters, load.projector) if path)
        self._said = -STEP
        self._lock = threading.Lock()

    def tell(self, progress: float) -> bool:
        """Whether anybody still listens."""
        with self._lock:
            if progress >= self._said + STEP or progress >= 1 > self._said:
                self._said = progress
                self.say(wire.Loading(min(1.0, progress)))
        return not _hung_up(self._link)

    def say(self, event: wire.Event) -> None:
        with contextlib.suppress(OSError):  # the gateway has gone
            self._link.sendall(wire.frame([event]))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look at what is mapped until the load is over; the process ends if the gateway goes meanwhile."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over, mapped()), name="progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(self, over: threading.Event, before: int) -> None:
        while not over.wait(LOOK_SECONDS):
            share = (mapped() - before) / self._bytes if self._bytes else 0.0
            if not self.tell(min(share, 1 - STEP)):
                os._exit(0)  # the thread that loads may not come back for minutes


def mapped() -> int:
    """Bytes of files that this process has in memory; 0 where the system does not tell."""
    try:
        return sum(int(kib) * 1024 for kib in _MAPPED.findall(STATUS.read_text(encoding="ascii")))
    except OSError:
        return 0


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _hung_up(link: socket.socket) -> bool:
    try:
        return link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
