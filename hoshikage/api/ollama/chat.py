"""POST /api/chat."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.errors import OllamaFault
from hoshikage.api.http import owner_of, services, until_disconnect
from hoshikage.api.ollama.decode import read
from hoshikage.api.ollama.loading import loaded, unloaded, unloads, warnings_of
from hoshikage.api.ollama.replies import Asked, answered, note, render_only
from hoshikage.api.ollama.wire import ChatRequest, check, to_chat
from hoshikage.chat import chat as continue_chat
from hoshikage.chat import chat_text
from hoshikage.conversation import ToolCallDelta
from hoshikage.generation import check_generates


async def chat(request: Request) -> Response:
    """Continue the messages; without any, load or unload the model."""
    asked = await read(request, ChatRequest)
    check(asked)
    if not asked.model.strip():
        raise OllamaFault(400, "model is required")
    backend = services(request).backend
    note(request, asked.model, stream=asked.stream)
    entry = backend.registry.run(asked.model)
    if not asked.messages and unloads(asked):
        return await until_disconnect(request, unloaded(request, entry, asked, body))
    check_generates(entry, asked.model, "chat")
    turned = to_chat(asked, owner_of(request))
    if not asked.messages:
        return await until_disconnect(request, loaded(request, entry, asked, turned, body))
    if asked.render_only:
        return render_only(asked.model, body, await until_disconnect(request, chat_text(backend, turned)))
    answer = Asked(asked.model, body, asked.stream, turned.options.get("num_ctx"), warnings_of(asked))
    return await answered(request, answer, continue_chat(backend, turned))


def body(text: str, thinking: str = "", calls: Sequence[ToolCallDelta] = ()) -> dict[str, Any]:
    thought = {"thinking": thinking} if thinking else {}
    called = {"tool_calls": [shown(call) for call in calls]} if calls else {}
    return {"message": {"role": "assistant", "content": text, **thought, **called}}


def shown(delta: ToolCallDelta) -> dict[str, Any]:
    function = {"index": delta.index, "name": delta.call.name, "arguments": delta.call.arguments}
    return {"id": delta.call.id, "function": function}
