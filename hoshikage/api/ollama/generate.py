"""POST /api/generate."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.errors import OllamaFault
from hoshikage.api.http import owner_of, services, until_disconnect
from hoshikage.api.ollama.decode import read
from hoshikage.api.ollama.loading import loaded, unloaded, unloads, warnings_of
from hoshikage.api.ollama.replies import Asked, answered, note, render_only
from hoshikage.api.ollama.wire import GenerateRequest, check, to_completion
from hoshikage.completion import complete, completion_text
from hoshikage.generation import check_generates
from hoshikage.models.entry import Entry


async def generate(request: Request) -> Response:
    """Continue the prompt; without one, load or unload the model."""
    asked = await read(request, GenerateRequest)
    check(asked)
    if not asked.model.strip():
        raise OllamaFault(404, f"model '{asked.model}' not found")
    backend = services(request).backend
    note(request, asked.model, stream=asked.stream)
    entry = backend.registry.run(asked.model)
    if not asked.prompt and unloads(asked):
        return await until_disconnect(request, unloaded(request, entry, asked, body))
    refuse(asked, entry, strict=backend.settings.strict)
    turned = to_completion(asked, owner_of(request))
    if not asked.prompt:
        return await until_disconnect(request, loaded(request, entry, asked, turned, body))
    if asked.render_only:
        return render_only(asked.model, body, await until_disconnect(request, completion_text(backend, turned)))
    answer = Asked(asked.model, body, asked.stream, turned.options.get("num_ctx"), warnings_of(asked))
    return await answered(request, answer, complete(backend, turned))


def refuse(asked: GenerateRequest, entry: Entry, *, strict: bool) -> None:
    """What this request, or this model, cannot do, in the contract's order (§4.2).

    Where it is `strict`, a gap is filled by a template only, as in Ollama, and not by the vocabulary's tokens.
    """
    if asked.raw and (asked.template or asked.system or asked.context is not None):
        raise OllamaFault(400, "raw mode does not support template, system, or context")
    check_generates(entry, asked.model, "generate")
    fills = entry.places_suffix or (not strict and "insert" in entry.capabilities)
    if asked.suffix and not fills:
        raise OllamaFault(400, f"{entry.parsed.full} does not support insert")


def body(text: str, thinking: str = "", _calls: Sequence[object] = ()) -> dict[str, Any]:
    return {"response": text, "thinking": thinking} if thinking else {"response": text}
