"""The use case of a chat: find the model, make the chat fit, render, generate. Knows no dialect and no HTTP."""

from collections.abc import AsyncGenerator
from functools import partial

from hoshikage.conversation import ChatRequest, Delta
from hoshikage.fitting import Fitted, uncut
from hoshikage.generation import Backend, Prompt, check_generates, generate, rendered
from hoshikage.models.entry import Entry
from hoshikage.prompts import prompt_of


def chat(backend: Backend, request: ChatRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a chat. Raises ModelError at once, and what generate() raises."""
    entry, prompt = planned(backend, request)
    return generate(backend, entry, request, prompt)


async def chat_text(backend: Backend, request: ChatRequest) -> Fitted:
    """What would be sent for it. Raises what chat() and generate() raise."""
    entry, prompt = planned(backend, request)
    return await rendered(backend, entry, request, prompt)


def planned(backend: Backend, request: ChatRequest) -> tuple[Entry, Prompt]:
    """The model, and the turns with its own ones before those of the request, but after a system message.

    Raises ModelError or Unsupported.
    """
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "chat")
    first = 1 if request.messages and request.messages[0].role == "system" else 0
    turns = (*request.messages[:first], *entry.stored.messages, *request.messages[first:])
    render = partial(prompt_of, entry, go=backend.settings.go_template)
    return entry, Prompt(render, turns, fit=backend.fitter.fit if request.truncate else uncut)
