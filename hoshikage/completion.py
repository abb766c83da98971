"""The use case of a single prompt: templated like a chat of one turn, or raw. Knows no dialect and no HTTP."""

from collections.abc import AsyncGenerator
from functools import partial

from hoshikage.conversation import CompletionRequest, Delta, Message
from hoshikage.generation import Backend, Prompt, check_generates, generate
from hoshikage.prompts import prompt_of


def complete(backend: Backend, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a prompt. Raises ModelError at once, and what generate() raises."""
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "generate")
    if request.raw:
        return generate(
            backend, entry, request, Prompt(text=lambda: lambda _ready: request.prompt, context=request.context)
        )
    system = [Message(role="system", content=request.system)] if request.system else []
    history = () if request.context else entry.stored.messages
    messages = [*system, *history, Message(role="user", content=request.prompt)]
    text = partial(prompt_of, entry, messages, go=backend.settings.go_template, template=request.template)
    return generate(backend, entry, request, Prompt(text=text, context=request.context, return_tokens=True))
