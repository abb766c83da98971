"""A mistake of ours is an answer in each dialect, on a small app of its own."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.app import HANDLERS, route


async def broken(_request: Request) -> Response:
    raise RuntimeError("a mistake")


@pytest.mark.parametrize(
    ("path", "kind"), [("/api/x", "application/json; charset=utf-8"), ("/v1/x", "application/json")]
)
async def test_a_mistake_of_ours_is_500_in_the_form_that_clients_read(path: str, kind: str) -> None:
    app = Starlette(routes=[route(path, broken, "GET")], exception_handlers=HANDLERS)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        reply = await client.get(path)
    assert (reply.status_code, reply.headers["content-type"]) == (500, kind)
    said = reply.json()["error"]
    assert (said if path.startswith("/api") else said["message"]).startswith("internal error")
