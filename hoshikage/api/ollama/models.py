"""GET /, /api/version, /api/tags, /api/ps and POST /api/show: what there is."""

import asyncio
import logging
import math
from typing import Any

from msgspec import Raw, structs
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from hoshikage.api.errors import OllamaFault
from hoshikage.api.http import json_reply, services
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.wire import ShowRequest
from hoshikage.engine.client import Engine
from hoshikage.errors import CloudDisabled, FileMissing, ModelNotFound
from hoshikage.models.entry import Entry
from hoshikage.models.eviction import State
from hoshikage.models.loaded import Loaded
from hoshikage.models.names import local, parse
from hoshikage.models.show import Shown, shown
from hoshikage.models.tags import details, local_time
from hoshikage.services import Services

log = logging.getLogger("hoshikage.api")

VERSION = "0.33.0"
"""The Ollama release whose API this is; clients refuse what is no dotted number or too low."""
COPILOT = "GitHubCopilotChat/"
"""It shows a model by `general.basename`, which is therefore the name that it asked for, as in Ollama."""
FOREVER_SECONDS = 292 * 365 * 24 * 3600
"""What Ollama's "never" comes to: the largest duration it can hold."""


async def root(_request: Request) -> Response:
    return PlainTextResponse("Ollama is running")


async def version(_request: Request) -> Response:
    return json_reply({"version": VERSION})


async def list_tags(request: Request) -> Response:
    return json_reply(Raw(services(request).registry.tags()))


async def ps(request: Request) -> Response:
    """What is loaded, by the name that it was loaded by; when that is deleted, by another that has the same files."""
    found = services(request)
    entries = found.registry.entries()
    named = {entry.name: entry for entry in entries}
    sharing = {(entry.file, entry.beside): entry for entry in entries}
    held = [(each, named.get(each.name) or sharing.get(each.key)) for each in found.pool.held()]
    return json_reply({"models": [running(each, entry) for each, entry in held if entry]})


def running(loaded: Loaded, entry: Entry) -> dict[str, Any]:
    """As Ollama tells of a model, and in `hoshikage` what it cannot: how far its load is, and who asks it."""
    name, engine = parse(entry.name).short, loaded.engine
    vram = engine.ready.size_vram if engine else loaded.footprint.vram
    return {
        "name": name,
        "model": name,
        "size": max(vram, loaded.footprint.total),
        "digest": entry.digest,
        "details": structs.replace(details(entry, lengths=False), parent_model=""),  # as Ollama
        "expires_at": expires_at(loaded),
        "size_vram": vram,
        "context_length": engine.ready.window if engine else loaded.footprint.window,
        "hoshikage": {
            "state": loaded.state,
            "progress": round(loaded.progress, 2) if loaded.state is State.LOADING else 1.0,
            "running": loaded.running,
            "waiting": loaded.queued,
            **(loaded_as(engine) if engine else {}),
        },
    }


def loaded_as(engine: Engine) -> dict[str, Any]:
    """How it was loaded, which Ollama does not tell."""
    ready = engine.ready
    types = {"k": ready.type_k, "v": ready.type_v}
    return {"kv_types": types, "gpu_layers": ready.gpu_layers, "warnings": ready.warnings}


def expires_at(loaded: Loaded) -> str:
    at = loaded.expires_at
    return local_time(loaded.idle_since + FOREVER_SECONDS if math.isinf(at) else at)


async def show(request: Request) -> Response:
    asked = decode(await request.body(), ShowRequest)
    name = (asked.model or asked.name).strip()
    if not name:
        raise OllamaFault(400, "model is required")
    registry = services(request).registry
    try:
        entry = registry.run(name)
    except ModelNotFound as error:
        raise ModelNotFound(name=parse(local(name)).short) from error
    except CloudDisabled as error:
        raise CloudDisabled(what="remote model details are unavailable") from error
    found = await told(services(request), entry, asked)
    if request.headers.get("user-agent", "").startswith(COPILOT):
        info = {**found.model_info, "general.basename": asked.model or asked.name}
        found = structs.replace(found, model_info=dict(sorted(info.items())))
    return json_reply(found)


async def told(found: Services, entry: Entry, asked: ShowRequest) -> Shown:
    """Raises ModelNotFound where its file is gone, as Ollama does, or NotGguf."""
    go_template = found.settings.go_template

    def tell() -> Shown:
        return shown(entry, verbose=asked.verbose, system=asked.system, options=asked.options, go_template=go_template)

    try:
        return await asyncio.to_thread(tell)
    except FileMissing as error:
        log.warning("%s: %s", entry.name, error)
        raise ModelNotFound(name=entry.parsed.short) from error
