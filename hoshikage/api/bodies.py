"""Request bodies: how large, how many bytes of all together, how slow. An ASGI layer; knows no dialect.

A refusal leaves the rest of a body unread, and a connection that is closed then resets the client before it has read
why. So the answer is sent at once, and its end when the rest has come and is thrown away, or takes too long.
"""

import asyncio
import contextlib
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNLIMITED = "/api/blobs/"
"""Files are uploaded there: their bodies are not kept in memory."""
PATIENCE_SECONDS = 60.0
"""How long nothing of a body may come."""
LINGER_SECONDS = 120.0
"""How long the rest of a body is read that nobody wants."""
QUIET_SECONDS = 20.0
"""How long nothing of such a rest may come."""


class TooLarge(Exception):
    """The body is over the limit."""


class TooSlow(Exception):
    """The body does not come."""


class Bodies:
    """Wraps the app. `each` and `total` are bytes of one body and of all that are held; `refuse` makes the refusal."""

    def __init__(self, app: ASGIApp, *, each: int, total: int, refuse: Callable[[], Exception]) -> None:
        self.app = app
        self.each = each
        self.total = max(each, total)
        self.refuse = refuse
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = Body(self, scope, receive)
        try:
            await self.app(scope, body.receive, body.sender(send))
        finally:
            body.release()


class Body:
    """One request's. It is held as long as the request is answered, since the request keeps it."""

    def __init__(self, bodies: Bodies, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        self.declared = int(length) if length.isascii() and length.isdigit() else 0
        self.ended = not self.declared and "transfer-encoding" not in headers and scope["http_version"] < "2"
        self.held = 0
        self._bodies = bodies
        self._counts = not scope["path"].startswith(UNLIMITED)
        self._receive = receive

    async def receive(self) -> Message:
        """The next message. Raises TooLarge, TooSlow, or the refusal of a body for which there is no room now."""
        if self.ended or not self._counts:
            return await self._next()
        if not self.held:
            self._check(self.declared)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                message = await self._next()
        except TimeoutError as error:
            raise TooSlow(f"nothing of the request body has come for {PATIENCE_SECONDS:g} seconds") from error
        size = len(message.get("body", b""))
        self._check(size)
        self.held += size
        self._bodies.held += size
        return message

    def release(self) -> None:
        """Nothing of it is held any more."""
        self._bodies.held -= self.held
        self.held = 0

    def sender(self, send: Send) -> Send:
        async def sender(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and not self.ended:
                self.release()
                await send({**message, "more_body": True})
                await self._drain()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        return sender

    def _check(self, more: int) -> None:
        if self.held + more > self._bodies.each:
            raise TooLarge(f"the request body is larger than {self._bodies.each} bytes (MAX_BODY_MB)")
        if self._bodies.held + more > self._bodies.total:
            raise self._bodies.refuse()

    async def _next(self) -> Message:
        message = await self._receive()
        self.ended = self.ended or message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.ended:
                    await asyncio.wait_for(self._next(), QUIET_SECONDS)
