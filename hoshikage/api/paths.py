"""Paths that are not quite right: an ASGI layer that sends the client to the clean one (contract §1.1).

Go's mux cleans a path before it looks for a route, gin takes a trailing slash away where the rest is one.
"""

import html
import posixpath
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE = "!#$%&'()*+,/:;=?@[]~"
"""What may stand in a Location as it is: everything of a URL, so that no header can be begun with the rest."""


class Paths:
    """Wraps the routes."""

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = self._redirect(scope) if scope["type"] == "http" else None
        await (reply or self.app)(scope, receive, send)

    def _redirect(self, scope: Scope) -> Response | None:
        raw = scope["raw_path"].decode("latin-1")
        clean = cleaned(raw)
        if clean != raw and raw.startswith("/"):  # `OPTIONS *` has no path
            return redirect(scope, clean, HTTPStatus.TEMPORARY_REDIRECT)
        if clean == "/" or not clean.endswith("/") or self._match(scope, scope["path"]) is not Match.NONE:
            return None
        if self._match(scope, scope["path"].removesuffix("/")) is not Match.FULL:
            return None  # gin looks among the routes of this method only
        moved = HTTPStatus.MOVED_PERMANENTLY if scope["method"] == "GET" else HTTPStatus.TEMPORARY_REDIRECT
        return redirect(scope, clean.removesuffix("/"), moved)

    def _match(self, scope: Scope, path: str) -> Match:
        found = (route.matches({**scope, "path": path})[0] for route in self.routes)
        return max(found, key=lambda match: match.value, default=Match.NONE)


def cleaned(path: str) -> str:
    """Without empty, `.` and `..` parts; a slash at the end stays."""
    clean = posixpath.normpath(f"/{path.lstrip('/')}")
    return f"{clean}/" if path.endswith("/") and clean != "/" else clean


def redirect(scope: Scope, path: str, status: HTTPStatus) -> Response:
    """As Go's http.Redirect writes it."""
    query = scope["query_string"].decode("latin-1")
    location = quote(f"{path}?{query}" if query else path, safe=SAFE)
    headers = {"location": location}
    if scope["method"] not in {"GET", "HEAD"}:
        return Response(status_code=status, headers=headers)
    body = f'<a href="{html.escape(location)}">{status.phrase}</a>.\n\n'
    return Response(body, status, headers, "text/html; charset=utf-8")
