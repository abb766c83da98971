"""A bar on a terminal while a model loads before its first word. It asks how far the load is, and knows no server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from hoshikage.cli.human import printable
from hoshikage.cli.pull import View
from hoshikage.models.hubs.base import Progress

T = TypeVar("T")

PATIENCE_SECONDS = 1.0
"""A load that is over by then needs no bar."""
LOOK_SECONDS = 0.2

Look = Callable[[], tuple[float, int] | None]
"""How much of the load is done, 0 to 1, and of how many bytes; None where nothing loads."""
Opened = Callable[[], AbstractContextManager[View]]


def with_bar(pieces: Iterator[T], look: Look, name: str, opened: Opened) -> Iterator[T]:
    """The pieces as they come; until the first one is there, a bar is shown where the model loads."""
    arrived = threading.Event()
    bar = threading.Thread(target=_show, args=(arrived, look, name, opened), name="bar", daemon=True)
    bar.start()
    try:
        first = next(pieces, None)
    finally:
        arrived.set()
        bar.join()
    if first is not None:
        yield first
        yield from pieces


def _show(arrived: threading.Event, look: Look, name: str, opened: Opened) -> None:
    if arrived.wait(PATIENCE_SECONDS) or look() is None:
        return
    status = f"loading {printable(name)}"
    with opened() as bar:
        while not arrived.wait(LOOK_SECONDS) and (found := look()) is not None:
            share, size = found
            bar.show(Progress(status=status, total=size, completed=int(share * size)))
