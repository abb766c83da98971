"""GET /v1/models and /v1/models/{id}."""

from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.http import json_reply, services
from hoshikage.models.tags import card

JSON = "application/json"


async def list_models(request: Request) -> Response:
    return json_reply(Raw(services(request).registry.cards()), media_type=JSON)


async def show_model(request: Request) -> Response:
    """One model; an empty id (a trailing slash) means the list."""
    name = request.path_params["id"]
    if not name:
        return await list_models(request)
    return json_reply(card(services(request).registry.find(name)), media_type=JSON)
