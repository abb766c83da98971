"""A connection that is read in a thread of its own, so that a silent one does not silence its reader. Knows no HTTP."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Self

from msgspec import Struct

QUEUED = 32
"""Chunks that may wait; the connection's are 64 KiB at most."""
LOOK_SECONDS = 0.2
END_SECONDS = 1.0


class Broken(Exception):
    """The connection failed in a way that another try may mend."""


class Opened(Struct):
    """An answer's body: its first byte is byte `start` of the blob, which is `total` bytes long where that is told.

    `cut` ends the connection from any thread.
    """

    start: int
    total: int | None
    chunks: Iterator[bytes]
    cut: Callable[[], None]


Source = Callable[[int], AbstractContextManager[Opened]]
"""Opens a blob at an offset, or before it where ranges are unknown. Raises Broken and PullError, also in chunks."""


class Ended(Struct):
    """The last thing in the queue."""

    error: BaseException | None = None


class Pump:
    """One answer. Only the thread touches the connection; closing cuts it."""

    def __init__(self, source: Source, start: int) -> None:
        self._queue: queue.Queue[Opened | bytes | Ended] = queue.Queue(QUEUED)
        self._stopped = threading.Event()
        self._cut: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, args=(source, start), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._cut:
            self._cut()
        self._thread.join(END_SECONDS)  # one that still waits for a connection ends at its time limit

    def items(self) -> Iterator[Opened | bytes | None]:
        """The answer, then its chunks; None whenever nothing came for LOOK_SECONDS. Raises what the source raises."""
        while True:
            try:
                item = self._queue.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, Ended):
                if item.error:
                    raise item.error
                return
            yield item

    def _run(self, source: Source, start: int) -> None:
        error: BaseException | None = None
        try:
            with source(start) as opened:
                self._cut = opened.cut
                self._put(opened)
                for chunk in opened.chunks:
                    if not self._put(chunk):
                        break
        except BaseException as raised:  # it is raised in the thread that reads
            error = raised
        self._put(Ended(error))

    def _put(self, item: Opened | bytes | Ended) -> bool:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=LOOK_SECONDS)
                return True
        return False
