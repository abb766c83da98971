"""The use case of a single prompt: templated like a chat of one turn, or raw. Knows no dialect and no HTTP."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial

from hoshikage.conversation import CompletionRequest, Delta, Message
from hoshikage.generation import Backend, Prompt, check_generates, check_sees, generate
from hoshikage.images import checked, marked, new_mark
from hoshikage.prompts import prompt_of


def complete(backend: Backend, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a prompt. Raises ModelError at once, and what generate() raises."""
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "generate")
    check_sees(entry, request.model, request.images)
    named, mark = [(f"images[{at}]", image) for at, image in enumerate(request.images)], new_mark()
    (asked,) = marked([Message(role="user", content=request.prompt, images=request.images)], mark)
    made = Prompt(text=lambda: lambda _ready: asked.content, context=request.context, images=request.images, mark=mark)
    if request.raw:
        return generate(backend, entry, request, replace(made, text=checked(named, made.text)))
    system = [Message(role="system", content=request.system)] if request.system else []
    history = () if request.context else entry.stored.messages
    messages = [*system, *history, asked]
    text = partial(prompt_of, entry, messages, go=backend.settings.go_template, template=request.template)
    return generate(backend, entry, request, replace(made, text=checked(named, text), return_tokens=True))
