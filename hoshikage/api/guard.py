"""Who may ask: Origin and Host. An ASGI layer before every route; knows no dialect.

The Host check keeps a web page from reaching a loopback server through a name of its own (DNS rebinding).
"""

import contextlib
import ipaddress
import re
import socket
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104  an origin's name, nothing is bound
DEFAULT_ORIGINS = (
    *(f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in LOCAL for port in ("", ":*")),
    *(f"{scheme}://*" for scheme in ("app", "file", "tauri", "vscode-webview", "vscode-file")),
)
LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
STAINLESS = (
    "Arch Async Custom-Poll-Interval Helper-Method Lang Os Package-Version Poll-Helper Retry-Count Runtime"
    " Runtime-Version Timeout"
)
ALLOWED_HEADERS = ",".join([
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta",
    "X-Api-Key,Api-Key",
    *(f"X-Stainless-{name}" for name in STAINLESS.split()),
])
PREFLIGHT = {
    "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "access-control-allow-headers": ALLOWED_HEADERS,
    "access-control-max-age": "43200",
}
VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Guard:
    """Wraps the app. `loopback` says that the server listens on a loopback address only."""

    def __init__(self, app: ASGIApp, *, loopback: bool, origins: Iterable[str]) -> None:
        self.app = app
        self.loopback = loopback
        self.origins = (*origins, *DEFAULT_ORIGINS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        foreign = bool(origin) and origin not in _same_origins(headers)
        if refusal := self._refusal(scope, headers, origin if foreign else ""):
            await refusal(scope, receive, send)
            return
        sender = _with_origin(send, self._allow_origin(origin)) if foreign else send
        await self.app(scope, receive, sender)

    def _refusal(self, scope: Scope, headers: Headers, origin: str) -> Response | None:
        if origin and not self._known(origin):
            return Response(status_code=403)
        if origin and scope["method"] == "OPTIONS":
            return Response(status_code=204, headers={**PREFLIGHT, **self._allow_origin(origin, VARY)})
        if self.loopback and not is_local(headers.get("host", "")):
            return Response(status_code=403)
        if self.loopback and scope["method"] == "OPTIONS" and _address(headers.get("host", "")) is None:
            return Response(status_code=204)  # as Ollama: to an IP address it is a method like any other
        return None

    def _known(self, origin: str) -> bool:
        return any(matches(allowed, origin) for allowed in self.origins)

    def _allow_origin(self, origin: str, vary: str = "Origin") -> dict[str, str]:
        if "*" in self.origins:
            return {"access-control-allow-origin": "*"}
        return {"access-control-allow-origin": origin, "vary": vary}


def matches(allowed: str, origin: str) -> bool:
    """Whether an origin is `allowed`, in which one `*` stands for anything."""
    if "*" not in allowed:
        return origin == allowed.lower()
    before, _, after = allowed.partition("*")
    return len(origin) >= len(before) + len(after) and origin.startswith(before) and origin.endswith(after)


def is_local(host: str) -> bool:
    """Whether a Host header names this machine or its private network; an empty one does not."""
    name = _without_port(host).lower().rstrip(".")
    if (address := _address(host)) is None:
        return name in {"localhost", socket.gethostname().lower()} or name.endswith(LOCAL_SUFFIXES)
    private = any(address in network for network in PRIVATE if network.version == address.version)
    return address.is_loopback or private or address.is_unspecified or is_ours(address)


PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_ours(address: Address) -> bool:
    """Whether an interface of this machine has the address: only such a one, or a multicast one, can be bound."""
    family = socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(address), 0))
        return not address.is_multicast
    return False


def _address(host: str) -> Address | None:
    """The IP address in a Host header, if it is one."""
    try:
        found = ipaddress.ip_address(_without_port(host).rstrip("."))
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d+)?|(?P<bare>[0-9A-Fa-f:]+)")


def _without_port(host: str) -> str:
    """The name in a Host header; empty if it is malformed."""
    found = HOST.fullmatch(host)
    return found["six"] or found["name"] or found["bare"] if found else ""


def _same_origins(headers: Headers) -> set[str]:
    host = headers.get("host", "")
    return {f"http://{host}", f"https://{host}"}


def _with_origin(send: Send, allow: dict[str, str]) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in allow.items():
                headers[name] = value
        await send(message)

    return sender
