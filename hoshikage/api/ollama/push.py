"""POST /api/push: refused, with what to do instead, since this server has no account anywhere."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.errors import OllamaFault
from hoshikage.api.http import services
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.manage import told
from hoshikage.api.ollama.wire_manage import PushRequest
from hoshikage.errors import BadName, HoshikageError, ModelNotFound
from hoshikage.models.entry import Entry
from hoshikage.models.hubs.base import Progress
from hoshikage.models.manifest import place
from hoshikage.models.names import parse_exact
from hoshikage.models.registry import Registry

INSTEAD = (
    '"{name}" cannot be pushed from here: this server has no account. Upload {path} with the tool of the hub'
    " (`hf upload USER/REPOSITORY {path}`, say), or take the text of `hoshikage show --modelfile {name}` to a machine"
    " with Ollama, for `ollama create` and `ollama push` there"
)


async def push(request: Request) -> Response:
    """What is not here fails as in Ollama; what is here cannot leave."""
    asked = decode(await request.body(), PushRequest)
    name = asked.model or asked.name
    if not name.strip():
        raise OllamaFault(400, "model is required")
    registry = services(request).registry
    entry = await asyncio.to_thread(known, registry, name)
    if entry is not None:
        raise OllamaFault(501, INSTEAD.format(name=entry.name, path=entry.file))
    return await told(request, missing(registry, name), stream=asked.stream)


def known(registry: Registry, name: str) -> Entry | None:
    try:
        parse_exact(name)
        return registry.find(name)
    except (BadName, ModelNotFound):
        return None


async def missing(registry: Registry, name: str) -> AsyncGenerator[Progress, None]:
    """The words of Ollama for a model that is not there."""
    yield Progress(status="retrieving manifest")
    yield Progress(status="couldn't retrieve manifest")
    try:
        path = place(registry.files.home, parse_exact(name))
    except BadName as error:
        raise HoshikageError(reason="invalid model name") from error
    raise HoshikageError(reason=f"open {path}: no such file or directory")
