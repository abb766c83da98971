"""One file of the Hugging Face hub into its cache: resumed, hashed while it arrives, and only whole ever a blob.

huggingface_hub itself (2.4) starts each download anew, in a file of its own name, and compares no digest; so it lends
us its client, which knows proxies and keeps tokens to their host, and its locks and names, so that other tools wait
for us and find what we brought. The unfinished file is `blobs/DIGEST.incomplete`, as in huggingface_hub up to 1.x.
"""

import hashlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from hoshikage.errors import HashMismatch, HubFailed
from hoshikage.models import blobs
from hoshikage.models.hubs.hf_choice import File

if TYPE_CHECKING:
    from httpx2 import Response

ATTEMPTS = 5
"""How often in a row a transfer may break off without a byte before it is given up."""
PAUSE_SECONDS = 1.0
LOCK_SECONDS = 0.2
SPAN_BYTES = 16 << 30
"""What is asked for at once: caches on the way refuse more than 50 GB."""
CHUNK_BYTES = 1 << 20
BUSY = (408, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class Stopped(Exception):
    """The pull was given up by who asked for it."""


class Blob(Struct, frozen=True, kw_only=True):
    """A file, where it comes from, and where it lies in the cache; `pointer` is its name in the snapshot."""

    file: File
    url: str
    path: Path
    pointer: Path
    lock: Path

    @property
    def partial(self) -> Path:
        return self.path.with_name(f"{self.path.name}.incomplete")

    @property
    def whole(self) -> bool:
        """Whether it is there; its name is its digest, so its size tells."""
        places = (self.path, self.pointer)  # where the disk knows no links, it has moved to the second
        return any(blobs.holds(place, self.file.size) for place in places)

    @property
    def arrived(self) -> int:
        """Bytes that are there, also while another process brings them."""
        if self.whole:
            return self.file.size
        try:
            return min(self.partial.stat().st_size, self.file.size)
        except OSError:
            return 0


class State:
    """What the transfer tells the one who waits for it, and the flag by which that one stops it."""

    def __init__(self) -> None:
        self.completed = 0
        self.waiting = False
        self.verified = False
        self._stop = threading.Event()
        self._socket: socket.socket | None = None

    def stop(self) -> None:
        """At once, also where the hub has fallen silent."""
        self._stop.set()
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # beneath TLS, which could wait for an answer

    @contextmanager
    def reading(self, response: "Response") -> Iterator[None]:
        """While this response is read, `stop` breaks its connection. Raises Stopped."""
        self._socket = response.extensions["network_stream"].get_extra_info("socket")
        try:
            self.check()
            yield
        finally:
            self._socket = None

    def check(self) -> None:
        """Raises Stopped."""
        if self._stop.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Raises Stopped as soon as it is."""
        self._stop.wait(seconds)
        self.check()


def bring(blob: Blob, headers: dict[str, str], state: State, span: int = SPAN_BYTES) -> None:
    """Make the blob whole. Raises Stopped, HashMismatch, HubFailed, OSError and the client's own errors."""
    blob.path.parent.mkdir(parents=True, exist_ok=True)
    blob.lock.parent.mkdir(parents=True, exist_ok=True)
    with held(blob, state):
        if blob.whole:  # by the pull that was waited for
            return
        with Partial(blob, state) as partial:
            receive(blob, headers, partial, state, span)
            partial.publish()


@contextmanager
def held(blob: Blob, state: State) -> Iterator[None]:
    """huggingface_hub's own lock of the blob."""
    from filelock import Timeout
    from huggingface_hub.utils import WeakFileLock

    with ExitStack() as stack:
        while True:
            state.check()
            try:
                stack.enter_context(WeakFileLock(blob.lock, timeout=LOCK_SECONDS))
                break
            except Timeout:
                state.waiting, state.completed = True, blob.arrived
        state.waiting = False
        yield


class Partial:
    """The unfinished file, which goes on where it ended; `size` in bytes."""

    def __init__(self, blob: Blob, state: State) -> None:
        self._blob, self._state = blob, state
        self._file = blob.partial.open("a+b", buffering=0)
        self._digest = digest_for(blob.file)
        self.size = 0

    def __enter__(self) -> Self:
        """Hash what is there already. Raises Stopped."""
        try:
            self._file.seek(0)
            self._state.completed = self._blob.arrived
            while chunk := self._file.read(CHUNK_BYTES):
                self._state.check()
                self._digest.update(chunk)
                self.size += len(chunk)
            if self.size > self._blob.file.size:
                self.restart()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def append(self, chunk: bytes) -> None:
        """What exceeds the file's size is left out. Raises Stopped."""
        self._state.check()
        rest = memoryview(chunk)[: self._blob.file.size - self.size]
        self._digest.update(rest)
        self.size += len(rest)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._state.completed = self.size

    def restart(self) -> None:
        self._file.truncate(0)
        self._digest, self.size = digest_for(self._blob.file), 0

    def publish(self) -> None:
        """Give it the blob's name, if it is the right one. Raises HashMismatch, and is then gone."""
        self._state.verified = True
        if (actual := self._digest.hexdigest()) != self._blob.file.digest:
            self._blob.partial.unlink()
            raise HashMismatch(name=self._blob.file.path, actual=actual, expected=self._blob.file.digest)
        os.fsync(self._file.fileno())
        self._blob.partial.replace(self._blob.path)


def digest_for(file: File) -> "hashlib._Hash":
    """A sha256, or for a file that lies in git itself git's own digest, which begins with a header."""
    if len(file.digest) == 64:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)


def receive(blob: Blob, headers: dict[str, str], partial: Partial, state: State, span: int) -> None:
    """Ask until it is whole; a connection that breaks off is made anew where it ended."""
    from httpx2 import TransportError
    from huggingface_hub.errors import HfHubHTTPError

    left = ATTEMPTS
    while partial.size < blob.file.size:
        before = partial.size
        try:
            request(blob, headers, partial, state, span)
            broken: Exception = HubFailed(
                hub=blob.url, reason=f"it sends {partial.size} of {blob.file.size} bytes of {blob.file.path}"
            )
        except TransportError as error:
            broken = error
        except HfHubHTTPError as error:
            if error.response.status_code not in BUSY:
                raise
            broken = error
        if partial.size > before:
            left = ATTEMPTS
            continue
        left -= 1
        if not left:
            raise broken
        state.pause(PAUSE_SECONDS)


def request(blob: Blob, headers: dict[str, str], partial: Partial, state: State, span: int) -> None:
    """One request for what is missing, at most `span` bytes of it."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import hf_raise_for_status

    end = min(partial.size + span, blob.file.size) - 1
    asked = {**headers, "Range": f"bytes={partial.size}-{end}", "Accept-Encoding": "identity"}
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", blob.url, headers=asked, timeout=timeout) as response, state.reading(response):
        hf_raise_for_status(response)
        begin(response, partial, blob)
        for chunk in response.iter_raw():
            partial.append(chunk)
            if partial.size == blob.file.size:
                return  # a server that goes on is not listened to


def begin(response: "Response", partial: Partial, blob: Blob) -> None:
    """Start anew if the server sends the whole file instead of the rest. Raises HubFailed."""
    if response.status_code == 200:
        partial.restart()
        return
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code != 206 or match is None or int(match[1]) != partial.size:
        raise HubFailed(hub=blob.url, reason=f"it answers {response.status_code} without the bytes it was asked for")
