"""create_app(services): every route of every dialect on one page."""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hoshikage.admission import Reason
from hoshikage.api import errors
from hoshikage.api.access import Access
from hoshikage.api.bodies import Bodies, TooLarge, TooSlow
from hoshikage.api.guard import Guard
from hoshikage.api.http import ClientLeft
from hoshikage.api.ollama import blobs, chat, cloud, embed, generate, manage, models, push
from hoshikage.api.openai import chat as openai_chat
from hoshikage.api.openai import models as openai_models
from hoshikage.api.ops import status
from hoshikage.api.paths import Paths
from hoshikage.api.stopping import Stopping
from hoshikage.errors import HoshikageError
from hoshikage.parsing import is_loopback
from hoshikage.services import Services

MIB = 2**20
Handler = Callable[[Request], Awaitable[Response]]


def create_app(services: Services, *, insecure: bool = False) -> ASGIApp:
    """The ASGI app behind every address; it does not open or close the services.

    Beyond loopback, nobody gets in while there is no key, unless it is to be `insecure`. Raises KeysCorrupt.
    """
    services.keys.ring()
    settings, served = services.settings, routes()
    loopback = is_loopback(settings.host)
    access = Middleware(
        Access,
        keys=services.keys,
        routes=served,
        proxies=settings.trusted_proxies,
        closed=not (loopback or insecure),
    )
    app = Starlette(
        routes=served,
        middleware=[Middleware(Paths, routes=served), Middleware(Stopping, admission=services.admission), access],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.services = services
    guard = Guard(app, loopback=loopback, origins=settings.origins)
    refuse = partial(services.admission.refuse, Reason.BODIES)
    return Bodies(guard, each=settings.max_body_mb * MIB, total=settings.max_bodies_mb * MIB, refuse=refuse)


def routes() -> list[Route]:
    return [
        route("/", models.root, "GET", "HEAD"),
        route("/api/version", models.version, "GET", "HEAD"),
        route("/api/status", cloud.status, "GET"),
        route("/api/tags", models.list_tags, "GET", "HEAD"),
        route("/api/ps", models.ps, "GET"),
        route("/api/show", models.show, "POST"),
        route("/api/pull", manage.pull, "POST"),
        route("/api/push", push.push, "POST"),
        route("/api/create", manage.create, "POST"),
        route("/api/copy", manage.copy, "POST"),
        route("/api/delete", manage.delete, "DELETE"),
        route("/api/blobs/{digest}", blobs.blob, "POST", "HEAD"),
        route("/api/chat", chat.chat, "POST"),
        route("/api/generate", generate.generate, "POST"),
        route("/api/embed", embed.embed, "POST"),
        route("/api/embeddings", embed.embeddings, "POST"),
        route("/api/me", cloud.me, "POST"),
        route("/api/signout", cloud.sign_out, "POST"),
        route("/api/user/keys/{key}", cloud.sign_out, "DELETE"),
        route("/api/experimental/web_search", cloud.web_search, "POST"),
        route("/api/experimental/web_fetch", cloud.web_fetch, "POST"),
        route("/api/experimental/model-recommendations", cloud.recommendations, "GET"),
        route("/v1/models", openai_models.list_models, "GET"),
        route("/v1/models/{id:path}", openai_models.show_model, "GET"),
        route("/v1/chat/completions", openai_chat.completions, "POST"),
        route("/v1/status", status.status, "GET", "HEAD"),
    ]


HANDLERS = {
    HoshikageError: errors.on_hoshikage_error,
    OSError: errors.on_os_error,
    errors.OllamaFault: errors.on_fault,
    errors.OpenAIFault: errors.on_fault,
    ClientLeft: errors.on_client_left,
    ClientDisconnect: errors.on_client_left,
    TooLarge: errors.on_too_large,
    TooSlow: errors.on_too_slow,
    HTTPException: errors.on_http,
    RecursionError: errors.on_too_deep,
    Exception: errors.on_panic,
}


def route(path: str, handler: Handler, *methods: str) -> Route:
    """Starlette adds HEAD to every GET; the contract has it only where it is named."""
    found = Route(path, handler, methods=list(methods))
    found.methods = set(methods)
    return found
