"""Paths that are not quite right, on a small app of its own (contract §1.1)."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message

from hoshikage.api.app import route
from hoshikage.api.paths import Paths, cleaned


async def path(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.url.path)


async def ask(method: str, target: str) -> httpx.Response:
    """Sent as it is: httpx itself would clean the path."""
    served = [route("/api/show", path, "POST"), route("/api/tags", path, "GET", "HEAD"), route("/", path, "GET")]
    served.append(route("/v1/models/{id:path}", path, "GET"))
    app = Starlette(routes=served, middleware=[Middleware(Paths, routes=served)])
    app.router.redirect_slashes = False
    raw, _, query = target.partition("?")
    scope = {"type": "http", "method": method, "path": raw, "raw_path": raw.encode(), "query_string": query.encode()}
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await app({**scope, "headers": []}, nothing, send)
    body = b"".join(each.get("body", b"") for each in messages)
    return httpx.Response(messages[0]["status"], headers=messages[0]["headers"], content=body)


async def nothing() -> Message:
    return {"type": "http.request", "body": b""}


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE"])
@pytest.mark.parametrize("target", ["//api/tags", "/api//tags", "/api/./tags", "/x/../api/tags", "/../api/tags"])
async def test_a_path_is_cleaned_by_307_whatever_the_method(method: str, target: str) -> None:
    reply = await ask(method, target)
    assert (reply.status_code, reply.headers["location"]) == (307, "/api/tags")


async def test_the_query_goes_along_and_a_header_cannot_be_begun() -> None:
    reply = await ask("GET", "/api//tags?a=b&c=%0d%0aX:%20y")
    assert reply.headers["location"] == "/api/tags?a=b&c=%0d%0aX:%20y"
    assert reply.text == '<a href="/api/tags?a=b&amp;c=%0d%0aX:%20y">Temporary Redirect</a>.\n\n'


@pytest.mark.parametrize(
    ("method", "target", "status", "location"),
    [
        ("GET", "/api/tags/", 301, "/api/tags"),
        ("HEAD", "/api/tags/", 307, "/api/tags"),
        ("POST", "/api/show/", 307, "/api/show"),
        ("GET", "/api/tags//", 307, "/api/tags/"),
        ("GET", "/api/show/", 404, None),
        ("GET", "/api/nope/", 404, None),
        ("GET", "/api/Tags/", 404, None),
    ],
)
async def test_a_slash_at_the_end_is_taken_away_where_the_rest_is_a_route(
    method: str, target: str, status: int, location: str | None
) -> None:
    reply = await ask(method, target)
    assert (reply.status_code, reply.headers.get("location")) == (status, location)


async def test_a_clean_path_goes_through() -> None:
    assert (await ask("GET", "/")).text == "/"
    assert (await ask("GET", "/v1/models/a/b")).text == "/v1/models/a/b"


@pytest.mark.parametrize(
    ("path", "clean"), [("", "/"), ("/..", "/"), ("/a/b/../c//", "/a/c/"), ("/api/%2e%2e/x", "/api/%2e%2e/x")]
)
def test_cleaning_is_gos(path: str, clean: str) -> None:
    assert cleaned(path) == clean
