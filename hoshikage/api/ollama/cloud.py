"""Ollama's cloud, as a server answers that has none (contract §6.17): nobody is signed in, and nothing is searched."""

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.errors import OllamaFault
from hoshikage.api.http import json_reply
from hoshikage.errors import CloudDisabled


async def status(_request: Request) -> Response:
    """As Ollama says under OLLAMA_NO_CLOUD=1."""
    return json_reply({"cloud": {"disabled": True, "source": "env"}})


async def me(_request: Request) -> Response:
    raise OllamaFault(401, "unauthorized")


async def sign_out(_request: Request) -> Response:
    raise OllamaFault(401, "you are not currently signed in")


async def web_search(request: Request) -> Response:
    return await _unavailable(request, "web search is unavailable")


async def web_fetch(request: Request) -> Response:
    return await _unavailable(request, "web fetch is unavailable")


async def recommendations(_request: Request) -> Response:
    """Ollama's come from its cloud."""
    return json_reply({"recommendations": []})


async def _unavailable(request: Request, what: str) -> Response:
    if not (await request.body()).strip():
        raise OllamaFault(400, "missing request body")
    raise CloudDisabled(what=what)
