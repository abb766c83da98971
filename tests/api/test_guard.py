"""Host, Origin and body size, on a small app of its own."""

import ipaddress

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from hoshikage.api.bodies import Bodies, TooLarge
from hoshikage.api.guard import Guard, is_local, is_ours
from hoshikage.errors import Overloaded


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = await Request(scope, receive).body()
        reply = PlainTextResponse(str(len(body)))
    except TooLarge:
        reply = PlainTextResponse("too large", 413)
    await reply(scope, receive, send)


async def ask(method: str = "GET", *, origins: tuple[str, ...] = (), **headers: str) -> httpx.Response:
    guard = Bodies(Guard(app, loopback=True, origins=origins), each=10, total=10, refuse=Overloaded)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://127.0.0.1:11434") as client:
        return await client.request(method, "/", headers=names)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:11434",
        "127.0.0.1",
        "[::1]:11434",
        "192.168.1.9",
        "foo.local",
        "box.internal",
        "a.localhost",
        "0.0.0.0",
        "10.1.2.3:80",
        "[fd00::9]",
        "[::ffff:192.168.1.9]:80",
    ],
)
def test_names_of_this_machine_and_its_network_pass(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "",
        ":11434",
        "127.0.0.1.evil.example",
        "localhost:11434@evil",
        "8.8.8.8",
        "169.254.1.1",
        "100.64.0.1",
        "198.51.100.7",
        "[2001:db8::1]",
        "224.0.0.1",
    ],
)
def test_other_names_do_not(host: str) -> None:
    assert not is_local(host)


def test_an_address_of_an_interface_is_ours() -> None:
    found = {host: is_ours(ipaddress.ip_address(host)) for host in ("127.0.0.1", "8.8.8.8", "2001:db8::1", "224.0.0.1")}
    assert [host for host, ours in found.items() if ours] == ["127.0.0.1"]


async def test_a_foreign_host_gets_an_empty_403() -> None:
    reply = await ask(Host="evil.example")
    assert (reply.status_code, reply.content) == (403, b"")


async def test_a_foreign_origin_gets_403() -> None:
    assert (await ask(Origin="http://evil.example")).status_code == 403
    assert (await ask(Origin="chrome-extension://x")).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://127.0.0.1", "app://open-webui", "tauri://localhost"]
)
async def test_a_local_origin_is_echoed(origin: str) -> None:
    reply = await ask(Origin=origin)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == origin
    assert reply.headers["vary"] == "Origin"


async def test_a_preflight_is_answered() -> None:
    reply = await ask("OPTIONS", Origin="http://localhost:3000")
    assert reply.status_code == 204
    assert reply.headers["access-control-max-age"] == "43200"
    assert "X-Stainless-Retry-Count" in reply.headers["access-control-allow-headers"]
    assert reply.headers["vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert "vary" not in (await ask("OPTIONS", origins=("*",), Origin="http://evil.example")).headers


async def test_the_same_origin_adds_nothing() -> None:
    assert "access-control-allow-origin" not in (await ask(Origin="http://127.0.0.1:11434")).headers


async def test_a_star_lets_every_origin_in() -> None:
    reply = await ask(origins=("*",), Origin="http://evil.example")
    assert reply.headers["access-control-allow-origin"] == "*"


async def test_a_body_over_the_limit_is_refused() -> None:
    guard = Bodies(Guard(app, loopback=True, origins=()), each=10, total=10, refuse=Overloaded)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://localhost") as client:
        assert (await client.post("/", content=b"x" * 11)).status_code == 413
        assert (await client.post("/", content=b"x" * 10)).text == "10"
