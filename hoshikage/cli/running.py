"""The file by which a running server and the commands find each other: server.json in the user's runtime folder."""

import contextlib
import os
import socket
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from hoshikage import atomic

CONNECT_SECONDS = 1.0


class Server(Struct, frozen=True):
    """A server that runs now. `addresses` are base URLs, the main one first."""

    pid: int
    home: str
    addresses: tuple[str, ...]


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """XDG_RUNTIME_DIR's, else one of this user's own in the temporary folder."""
    base = environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "hoshikage" if base else Path(tempfile.gettempdir()) / f"hoshikage-{os.getuid()}"


@contextlib.contextmanager
def announced(server: Server, environ: Mapping[str, str]) -> Iterator[None]:
    """The server is written down for the time of the context, unless another one is written down already."""
    path = runtime_folder(environ) / "server.json"
    if find_server(environ) is not None:
        yield
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic.write(path, msgspec.json.encode(server))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_server(environ: Mapping[str, str]) -> Server | None:
    """The running server, or None. A file left by one that was killed does not count."""
    folder = runtime_folder(environ)
    try:
        if folder.stat().st_uid != os.getuid():
            return None
        server = msgspec.json.decode((folder / "server.json").read_bytes(), type=Server)
    except (OSError, msgspec.MsgspecError):
        return None
    return server if any(map(answers, server.addresses)) else None


def answers(address: str) -> bool:
    """Whether something listens there."""
    url = urllib.parse.urlsplit(address)
    try:
        with socket.create_connection((url.hostname or "", url.port or 80), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False
