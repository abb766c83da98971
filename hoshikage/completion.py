"""The use case of a single prompt: templated like a chat of one turn, or raw. Knows no dialect and no HTTP.

It is never cut: the engine refuses what is too long.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial

from hoshikage.asking import ask, preview
from hoshikage.conversation import CompletionRequest, Delta, Message
from hoshikage.errors import RequestError
from hoshikage.fitting import Fitted
from hoshikage.generation import Backend, Prompt, check_generates, check_sees
from hoshikage.images import Images, marked
from hoshikage.models.entry import Entry
from hoshikage.plan import Plan
from hoshikage.prompts import Text
from hoshikage.templates import go_chat


def complete(backend: Backend, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a prompt. Raises ModelError at once, and what ask() raises."""
    entry = found(backend, request)
    return ask(backend, entry, request, partial(prompt_of, backend, entry, request), request.template)


async def completion_text(backend: Backend, request: CompletionRequest) -> Fitted:
    """What would be sent for it. Raises what complete() raises."""
    entry = found(backend, request)
    return await preview(backend, entry, request, partial(prompt_of, backend, entry, request), request.template)


def found(backend: Backend, request: CompletionRequest) -> Entry:
    """The model. Raises ModelError or Unsupported."""
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "generate")
    check_sees(entry, request.model, request.images)
    if request.images and request.suffix:
        raise RequestError(reason="images cannot be sent with a suffix: leave one of them out")
    return entry


def prompt_of(backend: Backend, entry: Entry, request: CompletionRequest, plan: Plan) -> Prompt:
    """As it is where it is raw, else by the plan, with the model's own messages unless tokens stand in their place."""
    images = Images.of([(f"images[{at}]", image) for at, image in enumerate(request.images)])
    (question,) = marked([Message(role="user", content=request.prompt, images=request.images)], images.mark)
    if request.raw:
        return Prompt(lambda _turns: lambda _ready: question.content, (question,), images=images)
    if request.suffix:
        return gap(backend, entry, request, question)
    system = [Message(role="system", content=request.system)] if request.system else []
    history = () if request.context is not None else entry.stored.messages
    turns = (*system, *history, question)
    return Prompt(plan.text, turns, context=request.context or (), return_tokens=True, images=images)


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
