"""Which key may ask what, and whose it is: the layer on an app that answers with the owner."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hoshikage.api.access import SCOPES, Access
from hoshikage.api.app import create_app, routes
from hoshikage.api.http import owner_of
from hoshikage.keys import Keys, Scope
from hoshikage.parsing import networks, secret_hashes
from hoshikage.services import open_services
from hoshikage.settings import Settings

PROXIES = networks("10.0.0.5, 192.168.0.0/16, fd00::/8", Path())


async def whose(request: Request) -> PlainTextResponse:
    return PlainTextResponse(owner_of(request))


Sent = dict[str, str] | list[tuple[str, str]] | httpx.Headers


async def ask(keys: Keys, headers: Sent, client: str = "10.0.0.5") -> httpx.Response:
    served = [Route("/api/chat", whose)]
    access = Middleware(Access, keys=keys, routes=served, proxies=PROXIES, closed=False)
    transport = httpx.ASGITransport(Starlette(routes=served, middleware=[access]), client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
        return await asking.get("/api/chat", headers=headers)


def test_every_route_has_its_scopes_and_every_row_its_route() -> None:
    assert {each.path for each in routes()} == set(SCOPES)


def test_a_route_without_scopes_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="/new"):
        Access(Starlette(), keys=Keys(tmp_path), routes=[Route("/new", whose)], proxies=(), closed=False)


async def test_every_header_that_carries_keys_is_taken_and_one_right_key_is_enough(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    key, secret = keys.add("phone", [Scope.CHAT])
    right = [
        [("Authorization", f"Bearer {secret}")],
        [("authorization", f"bearer  {secret}")],
        [("Authorization", secret)],
        [("X-Api-Key", secret)],
        [("api-key", secret)],
        [("Authorization", "Bearer wrong"), ("X-Api-Key", secret)],
        [("Authorization", "Basic dXNlcjpwdw=="), ("Authorization", f"Bearer {secret}")],
    ]
    assert [(await ask(keys, each)).text for each in right] == [key.id] * len(right)
    wrong = ["", "Bearer", "Bearer ", f"Bearer {secret}x", f"Bearer {key.id}", f"Bearer {key.sha256}"]
    replies = [await ask(keys, {"Authorization": each}) for each in wrong]
    assert [each.status_code for each in replies] == [401] * len(wrong)


async def test_a_key_of_the_environment_may_be_written_in_any_letters(tmp_path: Path) -> None:
    keys = Keys(tmp_path, secret_hashes("星の鍵", tmp_path))
    assert (await ask(keys, httpx.Headers({"X-Api-Key": "星の鍵"}, encoding="utf-8"))).status_code == 200
    assert (await ask(keys, httpx.Headers({"X-Api-Key": "月の鍵"}, encoding="utf-8"))).status_code == 401


@pytest.mark.parametrize("client", ["10.0.0.5", "192.168.3.4", "fd00::1", "::ffff:10.0.0.5"])
async def test_a_proxy_that_is_trusted_names_the_user(tmp_path: Path, client: str) -> None:
    for name in ("X-OpenWebUI-User-Id", "X-Hoshikage-User"):
        assert (await ask(Keys(tmp_path), {name: "anna"}, client)).text == "local/anna"


@pytest.mark.parametrize("client", ["10.0.0.6", "127.0.0.1", "::1", "::ffff:10.0.0.6", "", "unix"])
async def test_nobody_else_does(tmp_path: Path, client: str) -> None:
    assert (await ask(Keys(tmp_path), {"X-Hoshikage-User": "anna"}, client)).text == "local"


async def test_a_user_belongs_to_the_key_and_no_user_can_be_another_key(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    key, secret = keys.add("proxy", [Scope.CHAT])
    for user in ("anna", "a/b", key.id):
        sent = {"X-Api-Key": secret, "X-Hoshikage-User": user}
        assert (await ask(keys, sent)).text == f"{key.id}/{user}"
    assert (await ask(keys, {"X-Hoshikage-User": "anna"})).status_code == 401


async def test_a_second_user_that_a_proxy_lets_through_is_refused(tmp_path: Path) -> None:
    both = [("X-OpenWebUI-User-Id", "anna"), ("X-Hoshikage-User", "bert")]
    assert (await ask(Keys(tmp_path), both)).status_code == 400
    assert (await ask(Keys(tmp_path), [("X-Hoshikage-User", "anna"), ("X-Hoshikage-User", "bert")])).status_code == 400
    assert (await ask(Keys(tmp_path), [(name, "anna") for name, _ in both])).text == "local/anna"


async def test_beyond_loopback_nobody_gets_in_without_a_key_unless_that_is_meant(tmp_path: Path) -> None:
    settings = Settings.load(environ={"HOSHIKAGE_HOME": str(tmp_path), "OLLAMA_HOST": "0.0.0.0"}, cwd=tmp_path)
    async with open_services(settings) as services:
        for insecure, status in ((False, 401), (True, 200)):
            transport = httpx.ASGITransport(create_app(services, insecure=insecure))
            async with httpx.AsyncClient(transport=transport, base_url="http://box") as asking:
                assert (await asking.get("/api/tags")).status_code == status
                assert (await asking.get("/")).status_code == 200


async def test_a_server_that_stops_refuses_every_route_in_each_dialect(tmp_path: Path) -> None:
    settings = Settings.load(environ={"HOSHIKAGE_HOME": str(tmp_path)}, cwd=tmp_path)
    async with open_services(settings) as services:
        services.admission.stopping = True
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
            ollama, openai = await asking.get("/api/tags"), await asking.get("/v1/models")
    assert ollama.json()["error"] == openai.json()["error"]["message"]
    assert openai.json()["error"]["code"] == "overloaded"
    for reply in (ollama, openai):
        assert (reply.status_code, reply.headers["connection"], reply.headers["retry-after"]) == (503, "close", "5")
