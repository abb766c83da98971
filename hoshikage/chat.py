"""The use case of a chat: find the model, render its template, generate. Knows no dialect and no HTTP."""

from collections.abc import AsyncGenerator
from functools import partial

from hoshikage.conversation import ChatRequest, Delta
from hoshikage.generation import Backend, Prompt, check_generates, generate
from hoshikage.prompts import prompt_of


def chat(backend: Backend, request: ChatRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a chat. Raises ModelError at once, and what generate() raises.

    The messages that the model brings itself come before those of the request, but after a system message.
    """
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "chat")
    first = 1 if request.messages and request.messages[0].role == "system" else 0
    messages = (*request.messages[:first], *entry.stored.messages, *request.messages[first:])
    text = partial(prompt_of, entry, messages, go=backend.settings.go_template)
    return generate(backend, entry, request, Prompt(text=text))
