"""One download into one sink: it goes on where it was cut, and only the right sha256 ends it. Knows no HTTP."""

import time
from collections.abc import Generator, Iterator

from msgspec import Struct

from hoshikage.errors import HashMismatch, PullError
from hoshikage.models.hubs.pump import Broken, Opened, Pump, Source
from hoshikage.models.hubs.sinks import TELL_SECONDS, Sink

TRIES = 6
ANEW_BYTES = 100 << 20
"""A connection that brought so much more begins the count of tries anew: Ollama's tries count per part of this size."""
LOOK_SECONDS = 0.2


class Wanted(Struct, frozen=True, kw_only=True):
    """A blob, and what it must be; `size` in bytes, `sha256` in 64 hexadecimal digits."""

    name: str
    size: int
    sha256: str


def transfer(source: Source, sink: Sink, wanted: Wanted, wait_seconds: float = 1.0) -> Generator[int, None, None]:
    """Fill the sink; yields its size, at least every 0.2 s. The waits between tries double, from `wait_seconds` on.

    Raises PullError after TRIES broken connections, HashMismatch for the wrong bytes, which are not kept, and what
    `source` and `sink` raise.
    """
    if sink.size > wanted.size:
        sink.clear()
    tries, reached = 0, sink.size
    while sink.size < wanted.size:
        try:
            yield from _try(source, sink, wanted)
        except Broken as error:
            if sink.size - reached >= ANEW_BYTES:
                tries, reached = 0, sink.size
            tries += 1
            if tries == TRIES:
                raise PullError(reason=f"max retries exceeded: {error}") from error
            yield from _rest(wait_seconds * 2 ** (tries - 1), sink)
    if (actual := sink.sha256()) != wanted.sha256:
        sink.clear()
        raise HashMismatch(name=wanted.name, actual=actual, expected=wanted.sha256)


def _try(source: Source, sink: Sink, wanted: Wanted) -> Generator[int, None, None]:
    """One connection, to its end or the blob's."""
    with Pump(source, sink.size) as pump:
        skip, told = 0, time.monotonic()
        for item in pump.items():
            if isinstance(item, Opened):
                skip = _overlap(item, sink, wanted)
            elif item:
                sink.write(item[skip:][: wanted.size - sink.size])
                skip = max(0, skip - len(item))
            if item is None or time.monotonic() - told >= TELL_SECONDS:
                yield sink.size
                told = time.monotonic()
            if sink.size == wanted.size:
                return
    raise Broken(f"the connection ended at {sink.size} of {wanted.size} bytes")


def _overlap(opened: Opened, sink: Sink, wanted: Wanted) -> int:
    """How many of the coming bytes are here already. Raises PullError for an answer that does not fit."""
    if opened.total not in {None, wanted.size}:
        raise PullError(reason=f"{wanted.name} has {opened.total} bytes there, its manifest says {wanted.size}")
    if not 0 <= opened.start <= sink.size:
        raise PullError(reason=f"{wanted.name} was sent from byte {opened.start} on, not from byte {sink.size}")
    return sink.size - opened.start


def _rest(seconds: float, sink: Sink) -> Iterator[int]:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield sink.size
        time.sleep(min(left, LOOK_SECONDS))
