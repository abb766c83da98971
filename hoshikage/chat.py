"""The use case of a chat: find the model, and the turns that are made to fit. Knows no dialect and no HTTP."""

from collections.abc import AsyncGenerator
from functools import partial

from msgspec import structs

from hoshikage.asking import ask, preview
from hoshikage.conversation import ChatRequest, Delta, Message
from hoshikage.fitting import Fitted, uncut
from hoshikage.generation import Backend, Prompt, check_generates, check_sees
from hoshikage.images import Images, marked, of_messages
from hoshikage.models.entry import Entry
from hoshikage.plan import Plan


def chat(backend: Backend, request: ChatRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a chat. Raises ModelError at once, and what ask() raises."""
    entry = found(backend, request)
    return ask(backend, entry, request, partial(prompt_of, backend, entry, request))


async def chat_text(backend: Backend, request: ChatRequest) -> Fitted:
    """What would be sent for it. Raises what chat() raises."""
    entry = found(backend, request)
    return await preview(backend, entry, request, partial(prompt_of, backend, entry, request))


def found(backend: Backend, request: ChatRequest) -> Entry:
    """The model. Raises ModelError or Unsupported."""
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "chat")
    check_sees(entry, request.model, of_messages(request.messages))
    return entry


def prompt_of(backend: Backend, entry: Entry, request: ChatRequest, plan: Plan) -> Prompt:
    """The turns, with the model's own ones before those of the request, but after a system message."""
    first = 1 if request.messages and request.messages[0].role == "system" else 0
    own = (structs.replace(each, images=()) for each in entry.stored.messages)  # a MESSAGE is text
    turns: tuple[Message, ...] = (*request.messages[:first], *own, *request.messages[first:])
    images = Images.of(of_messages(request.messages))
    fit = backend.fitter.fit if request.truncate else uncut
    return Prompt(plan.text, tuple(marked(turns, images.mark)), fit=fit, images=images)
