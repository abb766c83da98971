"""GET /, /api/version, /api/tags, /api/ps and POST /api/show: what there is."""

import asyncio
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from hoshikage.api.errors import OllamaFault
from hoshikage.api.http import json_reply, services
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.wire import ShowRequest
from hoshikage.errors import ModelNotFound
from hoshikage.models.entry import Entry
from hoshikage.models.gguf import Array, Header, read_header
from hoshikage.models.modelfile import Modelfile, listed
from hoshikage.models.modelfile import shown as text_of
from hoshikage.models.names import parse
from hoshikage.models.pool import Loaded
from hoshikage.models.tags import details, local_time, tags

VERSION = "0.33.0"
"""The Ollama release whose API this is; clients refuse what is no dotted number or too low."""
FOREVER_SECONDS = 292 * 365 * 24 * 3600
"""What Ollama's "never" comes to: the largest duration it can hold."""
NO_TEMPLATE = "{{ .Prompt }}"
EVERY_ELEMENT = 1 << 62
LEFT_OUT = {"general.name", "tokenizer.chat_template"}


async def root(_request: Request) -> Response:
    return PlainTextResponse("Ollama is running")


async def version(_request: Request) -> Response:
    return json_reply({"version": VERSION})


async def list_tags(request: Request) -> Response:
    return json_reply(tags(services(request).registry.entries()))


async def ps(request: Request) -> Response:
    found = services(request)
    entries = {entry.name: entry for entry in found.registry.entries()}
    models = [running(each, entries[each.name]) for each in found.pool.loaded() if each.name in entries]
    return json_reply({"models": models})


def running(loaded: Loaded, entry: Entry) -> dict[str, Any]:
    engine = loaded.engine
    assert engine is not None  # noqa: S101  pool.loaded() holds only these
    name = parse(entry.name).short
    return {
        "name": name,
        "model": name,
        "size": engine.ready.size,
        "digest": entry.digest,
        "details": details(entry, lengths=False),
        "expires_at": expires_at(loaded),
        "size_vram": engine.ready.size_vram,
        "context_length": engine.ready.window,
    }


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
        entry = registry.find(name)
    except ModelNotFound as error:
        raise ModelNotFound(name=parse(name).short) from error
    return json_reply(await asyncio.to_thread(shown, entry, verbose=asked.verbose))


def shown(entry: Entry, *, verbose: bool) -> dict[str, Any]:
    """The reply of /api/show; empty keys are left out but for details, model_info and modified_at."""
    header = read_header(entry.file, EVERY_ELEMENT) if verbose else read_header(entry.file)
    reply = {
        "license": header.text("general.license"),
        "modelfile": text_of(modelfile(entry, header), parse(entry.name).short),
        "parameters": listed(parameters(entry)),
        "template": header.chat_template or NO_TEMPLATE,
        "system": entry.system,
        "details": details(entry, lengths=False),
        "model_info": model_info(header, verbose=verbose),
        "tensors": [{"name": t.name, "type": t.type_name, "shape": list(t.shape)} for t in header.tensors],
        "capabilities": list(entry.capabilities),
        "modified_at": local_time(entry.created),
    }
    return {key: value for key, value in reply.items() if value or key == "model_info"}


def model_info(header: Header, *, verbose: bool) -> dict[str, Any]:
    """The header's keys, sorted; arrays are null unless `verbose`."""
    kept = {key: value for key, value in header.metadata.items() if key not in LEFT_OUT}
    kept["general.parameter_count"] = header.parameter_count
    arrays = Array if verbose else (Array, list, tuple)
    return {key: None if isinstance(value, arrays) else value for key, value in sorted(kept.items())}


def parameters(entry: Entry) -> dict[str, object]:
    """The entry's, its stop strings first."""
    stop: dict[str, object] = {"stop": entry.stop} if entry.stop else {}
    return stop | entry.parameters


def modelfile(entry: Entry, header: Header) -> Modelfile:
    return Modelfile(
        from_=(str(entry.file),),
        template=header.chat_template or NO_TEMPLATE,
        system=entry.system or None,
        parameters=parameters(entry),
    )
