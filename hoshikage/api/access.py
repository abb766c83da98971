"""Whose request it is, and whether its key may ask that: an ASGI layer before every route. Knows no dialect.

What stays open where keys are needed: preflights, which browsers send without credentials; `/` and `/api/version`, by
which clients find out that a server is there before they have a key. They tell the same to everybody, of nobody.
"""

import ipaddress
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hoshikage.api.errors import on_hoshikage_error
from hoshikage.api.http import OWNER
from hoshikage.errors import HoshikageError, KeyRefused, RequestError, ScopeMissing
from hoshikage.keys import Key, Keys
from hoshikage.keys import Scope as May
from hoshikage.parsing import Network

LOCAL = "local"
"""The one owner where no key is needed."""
OPEN: tuple[May, ...] = ()
ANY = tuple(May)
SCOPES: dict[str, tuple[May, ...]] = {
    "/": OPEN,
    "/api/version": OPEN,
    "/api/status": ANY,
    "/api/tags": ANY,
    "/api/ps": ANY,
    "/api/show": ANY,
    "/api/pull": (May.MODELS,),
    "/api/push": (May.MODELS,),
    "/api/create": (May.MODELS,),
    "/api/copy": (May.MODELS,),
    "/api/delete": (May.MODELS,),
    "/api/blobs/{digest}": (May.MODELS,),
    "/api/chat": (May.CHAT,),
    "/api/generate": (May.CHAT,),
    "/api/embed": (May.CHAT,),
    "/api/embeddings": (May.CHAT,),
    "/api/me": ANY,
    "/api/signout": ANY,
    "/api/user/keys/{key}": ANY,
    "/api/experimental/web_search": ANY,
    "/api/experimental/web_fetch": ANY,
    "/api/experimental/model-recommendations": ANY,
    "/v1/models": ANY,
    "/v1/models/{id:path}": ANY,
    "/v1/chat/completions": (May.CHAT,),
    "/v1/status": (May.ADMIN,),
}
"""Route -> the scopes of which one is enough; `admin` always is. A path without a route wants any key."""

CREDENTIALS = ("authorization", "x-api-key", "api-key")
BEARER = re.compile(r"bearer\s+", re.IGNORECASE)
USERS = ("x-hoshikage-user", "x-openwebui-user-id")


class Access:
    """Wraps the routes. `closed` wants a key even while there is none; `proxies` may name the user who asks.

    Raises KeyError at the start for a route without a row in SCOPES.
    """

    def __init__(
        self, app: ASGIApp, *, keys: Keys, routes: Sequence[BaseRoute], proxies: Sequence[Network], closed: bool
    ) -> None:
        self.app = app
        self.keys = keys
        self.proxies = proxies
        self.closed = closed
        self._scopes = [(each, SCOPES[each.path]) for each in routes if isinstance(each, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            await self.app(scope, receive, send)
            return
        try:
            owner = self._owner(scope)
        except HoshikageError as refusal:
            reply = await on_hoshikage_error(Request(scope), refusal)
            await reply(scope, receive, send)
            return
        await self.app({**scope, OWNER: owner}, receive, send)

    def _owner(self, scope: Scope) -> str:
        """Raises KeyRefused, ScopeMissing, KeysCorrupt, or RequestError for a user who is not clear."""
        needed = self._needed(scope)
        if needed == OPEN:
            return LOCAL
        headers = Headers(scope=scope)
        key = self._key(headers, needed)
        user = user_of(headers) if self._trusted(scope) else ""
        owner = key.id if key else LOCAL
        return f"{owner}/{user}" if user else owner

    def _key(self, headers: Headers, needed: tuple[May, ...]) -> Key | None:
        """The key that was sent; None where none is needed."""
        ring = self.keys.ring()
        if not (ring.required or self.closed):
            return None
        key = ring.match(presented(headers))
        if key is None:
            raise KeyRefused
        self.keys.uses.note(key)
        if not key.may(needed):
            raise ScopeMissing(scope=" or ".join(needed))
        return key

    def _needed(self, scope: Scope) -> tuple[May, ...]:
        return next((needed for route, needed in self._scopes if route.matches(scope)[0] is not Match.NONE), ANY)

    def _trusted(self, scope: Scope) -> bool:
        try:
            address = ipaddress.ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)  # how a socket for both families writes an IPv4 address
        return any((mapped or address) in network for network in self.proxies)


def presented(headers: Headers) -> list[bytes]:
    """All secrets that were sent; `Authorization` with or without `Bearer`."""
    values = [value for name in CREDENTIALS for value in headers.getlist(name)]
    return [BEARER.sub("", value, count=1).strip().encode("latin-1") for value in values]


def user_of(headers: Headers) -> str:
    """The user whom a proxy names, or "". Raises RequestError where it lets a second one through."""
    named = {value for name in USERS for value in headers.getlist(name) if value}
    if len(named) > 1:
        raise RequestError(reason=f"{' and '.join(USERS)} name more than one user")
    return named.pop() if named else ""
