"""A registry of the tests' own that answers as badly as a test wants, and remembers what it was asked."""

import contextlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.models.hubs.docker_registry import Layers, digest, manifest

PIECE = 1 << 16
CONFIG = b'{"model_format":"gguf"}'


class Peer(BaseHTTPRequestHandler):
    """One connection; `server.answer` speaks for it."""

    server: "Host"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.asked.append((self.path, dict(self.headers)))
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.server.answer(self)

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """`headers` with underscores."""
        self.begin(status, content_length=str(len(body)), **headers)
        self.wfile.write(body)

    def begin(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "connection": "close"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send_range(self, content: bytes, most: int | None = None) -> None:
        """What was asked for, cut off after `most` bytes."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", "bytes=0-"))
        assert found
        start, size = int(found[1]), len(content)
        self.begin(206, content_range=f"bytes {start}-{size - 1}/{size}", content_length=str(size - start))
        rest = memoryview(content)[start:][:most]
        for offset in range(0, len(rest), PIECE):
            self.wfile.write(rest[offset : offset + PIECE])

    def log_message(self, format: str, *args: object) -> None:
        pass


Answer = Callable[[Peer], None]


class Host(ThreadingHTTPServer):
    """`asked` holds the path and the headers of each request."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Peer)
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def asked_for(self, word: str) -> list[dict[str, str]]:
        """The headers of the requests with this word in their path."""
        return [headers for path, headers in self.asked if word in path]


@contextlib.contextmanager
def hosted(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Host]:
    with Host(answer) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def registry(model: bytes, blob: Answer, more: Layers | None = None) -> Answer:
    """All is answered well, but the model's blob by `blob`."""
    layers = [("model", model), *(more or [])]
    contents = {digest(content): content for content in [CONFIG, *(content for _, content in layers)]}

    def answer(peer: Peer) -> None:
        last = peer.path.rpartition("/")[2]
        if "/manifests/" in peer.path:
            peer.send(200, manifest(CONFIG, layers))
        elif last == digest(model):
            blob(peer)
        else:
            peer.send_range(contents[last])

    return answer


class Gate:
    """A blob that stops at `part` of its bytes until the gate is opened."""

    def __init__(self, content: bytes, part: int) -> None:
        self.content, self.part = content, part
        self.opened = threading.Event()

    def __call__(self, peer: Peer) -> None:
        if self.opened.is_set():
            peer.send_range(self.content)
            return
        peer.begin(200, content_length=str(len(self.content)))
        peer.wfile.write(self.content[: self.part])
        self.opened.wait(60)
        peer.wfile.write(self.content[self.part :])
