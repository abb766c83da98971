"""The use case of a chat: find the model, render its template, generate. Knows no dialect and no HTTP."""

from collections.abc import AsyncGenerator
from functools import partial

from hoshikage.conversation import ChatRequest, Delta
from hoshikage.generation import Backend, Prompt, check_generates, check_sees, generate
from hoshikage.images import checked, marked, new_mark, of_messages
from hoshikage.prompts import prompt_of


def chat(backend: Backend, request: ChatRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a chat. Raises ModelError at once, and what generate() raises.

    The messages that the model brings itself come before those of the request, but after a system message.
    """
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "chat")
    first = 1 if request.messages and request.messages[0].role == "system" else 0
    messages = (*request.messages[:first], *entry.stored.messages, *request.messages[first:])
    named, mark = of_messages(request.messages), new_mark()
    check_sees(entry, request.model, named)
    text = partial(prompt_of, entry, marked(messages, mark), go=backend.settings.go_template)
    sent = tuple(image for _, image in named)
    return generate(backend, entry, request, Prompt(text=checked(named, text), images=sent, mark=mark))
