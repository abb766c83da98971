"""The use case of a single prompt: templated like a chat of one turn, or raw. Knows no dialect and no HTTP.

It is never cut: the engine refuses what is too long.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial

from hoshikage.conversation import CompletionRequest, Delta, Message
from hoshikage.fitting import Fitted
from hoshikage.generation import Backend, Prompt, check_generates, generate, rendered
from hoshikage.models.entry import Entry
from hoshikage.prompts import Text, prompt_of
from hoshikage.templates import go_chat


def complete(backend: Backend, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a prompt. Raises ModelError at once, and what generate() raises."""
    entry, prompt = planned(backend, request)
    return generate(backend, entry, request, prompt)


async def completion_text(backend: Backend, request: CompletionRequest) -> Fitted:
    """What would be sent for it. Raises what complete() and generate() raise."""
    entry, prompt = planned(backend, request)
    return await rendered(backend, entry, request, prompt)


def planned(backend: Backend, request: CompletionRequest) -> tuple[Entry, Prompt]:
    """The model and the prompt for it. Raises ModelError or Unsupported."""
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "generate")
    question = Message(role="user", content=request.prompt, images=request.images)
    if request.raw:
        return entry, Prompt(lambda _turns: lambda _ready: request.prompt, (question,))
    if request.suffix:
        return entry, gap(backend, entry, request, question)
    system = [Message(role="system", content=request.system)] if request.system else []
    history = () if request.context is not None else entry.stored.messages
    render = partial(prompt_of, entry, go=backend.settings.go_template, template=request.template)
    return entry, Prompt(render, (*system, *history, question), context=request.context or (), return_tokens=True)


def gap(backend: Backend, entry: Entry, request: CompletionRequest, question: Message) -> Prompt:
    """Prompt and suffix alone, without system and messages: by a Go template that places a suffix, else by tokens."""
    source = request.template or (entry.stored.template if backend.settings.go_template else None) or ""
    if ".Suffix" not in source:
        plain = Prompt(lambda _turns: lambda _ready: request.prompt, (question,), suffix=request.suffix)
        return replace(plain, context=request.context or (), return_tokens=True)

    def render(_turns: Sequence[Message]) -> Text:
        template = go_chat.parse(source)
        return lambda _ready: go_chat.render_prompt(template, prompt=request.prompt, suffix=request.suffix)

    return Prompt(render, (question,), context=request.context or (), return_tokens=True)
