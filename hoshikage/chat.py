"""The use case of a chat: find the model, plan, make the chat fit, render, generate, read the answer.

Knows no dialect and no HTTP.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import structs

from hoshikage.answer import Reader
from hoshikage.conversation import ChatRequest, Delta, Message
from hoshikage.fitting import Fitted, uncut
from hoshikage.generation import Backend, Prompt, check_generates, check_sees, generate, rendered
from hoshikage.images import Images, marked, of_messages
from hoshikage.models.entry import Entry
from hoshikage.plan import Plan, plan_of


def chat(backend: Backend, request: ChatRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a chat.

    Raises ModelError at once, and QuotaExceeded, Overloaded and what plan_of() and generate() raise."""
    return continued(backend, found(backend, request), request)


async def chat_text(backend: Backend, request: ChatRequest) -> Fitted:
    """What would be sent for it. Raises what chat() and generate() raise."""
    entry = found(backend, request)
    with backend.admission.enter(request.owner):
        plan = await asyncio.to_thread(plan_of, entry, request, backend.settings)
        return await rendered(backend, entry, request, prompt_of(backend, plan, entry, request))


def found(backend: Backend, request: ChatRequest) -> Entry:
    """The model. Raises ModelError or Unsupported."""
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "chat")
    check_sees(entry, request.model, of_messages(request.messages))
    return entry


async def continued(backend: Backend, entry: Entry, request: ChatRequest) -> AsyncGenerator[Delta, None]:
    with backend.admission.enter(request.owner) as ticket:
        plan = await asyncio.to_thread(plan_of, entry, request, backend.settings)
        reader = Reader(plan)
        prompt = prompt_of(backend, plan, entry, request, reader)
        async with aclosing(reader.read(generate(backend, entry, request, prompt, ticket))) as deltas:
            async for delta in deltas:
                yield delta


def prompt_of(backend: Backend, plan: Plan, entry: Entry, request: ChatRequest, reader: Reader | None = None) -> Prompt:
    """The turns, with the model's own ones before those of the request, but after a system message."""
    first = 1 if request.messages and request.messages[0].role == "system" else 0
    own = (structs.replace(each, images=()) for each in entry.stored.messages)  # a MESSAGE is text
    turns: tuple[Message, ...] = (*request.messages[:first], *own, *request.messages[first:])
    images = Images.of(of_messages(request.messages))
    fit = backend.fitter.fit if request.truncate else uncut
    constrain = reader.begin if reader else None
    return Prompt(plan.text, tuple(marked(turns, images.mark)), fit=fit, constrain=constrain, images=images)
