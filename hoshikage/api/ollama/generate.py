"""POST /api/generate."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.errors import OllamaFault
from hoshikage.api.http import owner_of, services, until_disconnect
from hoshikage.api.ollama.decode import read
from hoshikage.api.ollama.loading import load_or_unload, warnings_of
from hoshikage.api.ollama.replies import Asked, answered
from hoshikage.api.ollama.wire import GenerateRequest, check, to_completion
from hoshikage.completion import complete


async def generate(request: Request) -> Response:
    """Continue the prompt; without one, load or unload the model."""
    asked = await read(request, GenerateRequest)
    check(asked)
    if not asked.model.strip():
        raise OllamaFault(404, f"model '{asked.model}' not found")
    backend = services(request).backend
    entry = backend.registry.run(asked.model)
    refuse_unbuilt(asked, entry.name)
    if not asked.prompt:
        return await until_disconnect(request, load_or_unload(request, entry, asked, body))
    turned = to_completion(asked, owner_of(request))
    answer = Asked(asked.model, body, asked.stream, turned.options.get("num_ctx"), warnings_of(asked))
    return await answered(request, answer, complete(backend, turned))


def refuse_unbuilt(asked: GenerateRequest, name: str) -> None:
    if asked.raw and (asked.template or asked.system or asked.context is not None):
        raise OllamaFault(400, "raw mode does not support template, system, or context")
    if asked.suffix:
        full = name if ":" in name else f"{name}:latest"
        raise OllamaFault(400, f"registry.ollama.ai/library/{full} does not support insert")


def body(text: str) -> dict[str, Any]:
    return {"response": text}
