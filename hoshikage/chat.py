"""The use case of a chat: find the model, plan, render, generate, read the answer. Knows no dialect and no HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from hoshikage.answer import Reader
from hoshikage.conversation import ChatRequest, Delta, Message
from hoshikage.generation import Backend, Prompt, check_generates, generate
from hoshikage.models.entry import Entry
from hoshikage.plan import plan_of


def chat(backend: Backend, request: ChatRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a chat. Raises ModelError at once, and what plan_of() and generate() raise.

    The messages that the model brings itself come before those of the request, but after a system message.
    """
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "chat")
    first = 1 if request.messages and request.messages[0].role == "system" else 0
    messages = (*request.messages[:first], *entry.stored.messages, *request.messages[first:])
    return continued(backend, entry, request, messages)


async def continued(
    backend: Backend, entry: Entry, request: ChatRequest, messages: Sequence[Message]
) -> AsyncGenerator[Delta, None]:
    plan = await asyncio.to_thread(plan_of, entry, request, backend.settings)
    reader = Reader(plan)
    prompt = Prompt(text=lambda: plan.text(messages), constrain=reader.begin)
    async with aclosing(reader.read(generate(backend, entry, request, prompt))) as deltas:
        async for delta in deltas:
            yield delta
