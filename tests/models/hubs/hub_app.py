"""A small Hugging Face hub of the tests' own: information, files with ranges, and a CDN behind it.

It speaks HTTP as huggingface_hub expects it, and can be told to be slow, to break off, to lie or to refuse.
"""

import asyncio
import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

COMMIT = "5" * 40
PIECE_BYTES = 64 << 10


class Content:
    """The bytes of a file, `block` so many times."""

    def __init__(self, block: bytes, times: int = 1) -> None:
        self._block = block
        self.size = len(block) * times
        digest = hashlib.sha256()
        for _ in range(times):
            digest.update(block)
        self.sha256 = digest.hexdigest()

    def part(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            at = start % len(self._block)
            piece = self._block[at : at + min(PIECE_BYTES, end - start)]
            start += len(piece)
            yield piece


@dataclass
class Seen:
    """A request that arrived."""

    method: str
    host: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Hub:
    """What it holds and how it behaves; both may be changed while it runs. Sizes and places in bytes of a response."""

    files: dict[str, Content]
    repo: str = "org/repo"
    token: str = ""
    gated: bool = False
    status: int = 0
    missing_revision: bool = False
    ranges: bool = True
    cut_at: int | None = None
    hold_at: int | None = None
    silent: bool = False
    wrong: bool = False
    lie_size: int = 0
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)

    def transfers(self) -> list[Seen]:
        return [each for each in self.seen if each.method == "GET" and each.path.startswith("/cdn/")]

    async def info(self, request: Request) -> Response:
        if self.missing_revision:
            return refusal(404, "RevisionNotFound", "Invalid rev id")
        card = {"license": "apache-2.0"}
        siblings = [self._entry(path, content) for path, content in sorted(self.files.items())]
        return JSONResponse({"id": self.repo, "sha": COMMIT, "tags": [], "cardData": card, "siblings": siblings})

    def _entry(self, path: str, content: Content) -> dict[str, object]:
        lfs = {"sha256": content.sha256, "size": content.size, "pointerSize": 130}
        return {"rfilename": path, "size": content.size, "blobId": "a" * 40, "lfs": lfs}

    async def resolve(self, request: Request) -> Response:
        path = request.path_params["path"]
        content = self.files[path]
        if self.gated:
            return refusal(401, "GatedRepo", "Access to model org/repo is restricted.")
        port = request.url.port
        headers = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{content.sha256}"',
            "X-Linked-Size": str(content.size + self.lie_size),
            "X-Xet-Hash": content.sha256,
            "Link": f'<{self.url}/api/models/{self.repo}/xet-read-token/{COMMIT}>; rel="xet-auth"',
            "Location": f"http://localhost:{port}/cdn/{path}",
        }
        return Response(status_code=302, headers=headers)

    async def cdn(self, request: Request) -> Response:
        content = self.files[request.path_params["path"]]
        start, end, asked = 0, content.size, request.headers.get("range")
        headers = {"Accept-Ranges": "bytes"}
        if asked and self.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
        headers["Content-Length"] = str(end - start)
        status = 206 if asked and self.ranges else 200
        return StreamingResponse(self._sent(content, start, end), status_code=status, headers=headers)

    async def _sent(self, content: Content, start: int, end: int) -> AsyncIterator[bytes]:
        sent = 0
        for piece in content.part(start, end):
            if self.cut_at is not None and sent >= self.cut_at:
                raise ConnectionResetError("the connection is meant to break here")
            if self.hold_at is not None and start + sent >= self.hold_at:
                self.held.set()
                await self._release()
            sent += len(piece)
            yield bytes(len(piece)) if self.wrong else piece

    async def _release(self) -> None:
        while not self.released.is_set():
            await asyncio.sleep(0.01)

    async def any(self, request: Request) -> Response:
        """Every route: note the request, refuse what is to be refused, and answer."""
        names = ("range", "authorization")
        path, host = request.url.path, request.url.hostname or ""
        self.seen.append(Seen(request.method, host, path, *(request.headers.get(name) for name in names)))
        if self.silent:
            await self._release()
        if self.status:
            return refusal(self.status, "", "the hub is out of order")
        if path.startswith("/cdn/"):
            return await self.cdn(request)
        if self.repo not in path:
            return refusal(401, "RepoNotFound", "Repository not found")
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return refusal(401, "", "Invalid credentials in Authorization header")
        if "/resolve/" in path:
            return await self.resolve(request)
        return await self.info(request)

    def app(self) -> Starlette:
        paths = ("/cdn/{path:path}", "/{org}/{repo}/resolve/{rev}/{path:path}", "/api/models/{rest:path}")
        return Starlette(routes=[Route(path, self.any, methods=["GET", "HEAD"]) for path in paths])


def refusal(status: int, code: str, message: str) -> Response:
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return Response(json.dumps({"error": message}), status, headers, media_type="application/json")


@contextlib.contextmanager
def served(hub: Hub) -> Iterator[Hub]:
    """The hub on a free port of loopback, in a thread of this process."""
    listening = socket.create_server(("127.0.0.1", 0))
    hub.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    stop = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(answer(hub, listening.detach(), stop),))
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        stop.set()
        thread.join()


async def answer(hub: Hub, listening: int, stop: threading.Event) -> None:
    """Serve on this descriptor, which hypercorn closes."""
    config = Config()
    config.bind = [f"fd://{listening}"]
    config.graceful_timeout = 0.1
    config.errorlog = None
    await serve(hub.app(), config, shutdown_trigger=lambda: asyncio.to_thread(stop.wait))  # type: ignore[arg-type]
