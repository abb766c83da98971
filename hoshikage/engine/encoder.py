"""Encodes images in a thread of its own: it takes seconds where a step takes a fraction, and other streams go on."""

import threading
from collections.abc import Callable

from hoshikage.engine.pictures import Picture
from hoshikage.errors import HoshikageError

WAIT_SECONDS = 0.02
"""How long is waited at once where there is nothing else to do, so that a cancellation is seen."""

Encode = Callable[[Picture], object]


class Encoder:
    """One picture at a time; what it becomes, or why it became nothing, is put into it."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._thread: threading.Thread | None = None

    def want(self, picture: Picture) -> None:
        """Begin with it, unless another one is being encoded."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, args=(picture,), name="encoder", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join(WAIT_SECONDS)

    def finish(self) -> None:
        """Wait for what was begun: a process must not end below llama.cpp's threads."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, picture: Picture) -> None:
        try:
            picture.rows = self._encode(picture)
        except HoshikageError as error:
            picture.failure = str(error.data["reason"])
        finally:
            if picture.rows is None and not picture.failure:
                picture.failure = "it could not be encoded"  # what was raised is ours to mend; trying again is no use
