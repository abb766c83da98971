"""What every route needs of HTTP: the body, JSON, streams that end when the client leaves. Knows no dialect."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hoshikage.admission import Reason
from hoshikage.conversation import Delta, Started
from hoshikage.errors import ConstraintRefused, HoshikageError, ServerStopping
from hoshikage.services import Services

log = logging.getLogger("hoshikage.api")

T = TypeVar("T")

ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u0085".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
"""Go escapes the first three and the last two; U+0085 would end a line in the SSE readers of Python clients."""

OWNER = "hoshikage.owner"
"""Where the ASGI scope holds whose request it is."""

WARNING = "x-hoshikage-warning"
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


def services(request: Request) -> Services:
    found = request.app.state.services
    if not isinstance(found, Services):
        raise TypeError("the app has no services")
    return found


def owner_of(request: Request) -> str:
    """Whose request it is: nothing said is ever shared between two owners."""
    return str(request.scope[OWNER])


def encode(value: object) -> bytes:
    """Compact JSON. The characters escaped here occur only inside JSON strings."""
    data = msgspec.json.encode(value)
    for character, escape in ESCAPES:
        if character in data:
            data = data.replace(character, escape)
    return data


def schema_text(schema: object, field: str) -> str:
    """A decoded JSON schema as text again. Raises ConstraintRefused where it is too deep to be written."""
    try:
        return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    except RecursionError as error:
        raise ConstraintRefused(field=field, reason="it is nested too deep; use $defs and $ref") from error


def json_reply(
    value: object,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json; charset=utf-8",
) -> Response:
    return Response(encode(value), status, headers, media_type)


def warning_headers(warnings: Iterable[str], num_ctx: object, started: Delta) -> dict[str, str]:
    """What was not done as it was asked for, said in one header."""
    said = list(warnings)
    if isinstance(started, Started):
        said += started.warnings
        if isinstance(num_ctx, int) and num_ctx > started.limit:
            said.append(f"num_ctx-capped={started.limit}")
    return {WARNING: ", ".join(said)} if said else {}


class ClientLeft(Exception):
    """The client closed the connection before its answer was ready."""


async def until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled as soon as the client leaves or the server ends.

    Raises ClientLeft or ServerStopping then.
    """
    task = asyncio.ensure_future(work)
    await _watched(task, request)
    return task.result()


async def _watched(task: "asyncio.Future[T]", request: Request) -> None:
    """Wait for the end of `task`, which is cancelled otherwise. Raises ClientLeft or ServerStopping.

    A client that leaves in the same moment has left: that is told once only, and to nobody after this.
    """
    admission = services(request).admission
    leaving = asyncio.ensure_future(_disconnected(request.receive))
    over = asyncio.ensure_future(admission.over.wait())
    every = (task, leaving, over)
    try:
        await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            raise ClientLeft
        if not task.done():
            raise admission.refuse(Reason.STOPPING)
    finally:
        for each in every:
            each.cancel()
        await asyncio.gather(*every, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Stream(Response):
    """Sends the pieces of `body` as they come. When it fails, `failure` makes the last piece and the body is cut off.

    A cut body (no last chunk) tells clients and proxies that the answer is not whole; a clean end would not.
    """

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        failure: Callable[[HoshikageError], bytes],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.media_type = media_type
        self.status_code = 200
        self.background = None
        self._body = body
        self._failure = failure
        self.init_headers({**HEADERS, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send(send))
        try:
            await _watched(sending, Request(scope, receive))
        except ClientLeft:
            return
        except ServerStopping as error:
            await send({"type": "http.response.body", "body": self._failure(error), "more_body": True})
            return
        sending.result()

    async def _send(self, send: Send) -> None:
        try:
            async with aclosing(self._body) as pieces:
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except HoshikageError as error:
            log.error("in the middle of an answer: %s", error)
            await send({"type": "http.response.body", "body": self._failure(error), "more_body": True})
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
