"""The use case of a single prompt: templated like a chat of one turn, or raw. Knows no dialect and no HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from hoshikage.answer import Reader
from hoshikage.conversation import CompletionRequest, Delta, Message
from hoshikage.generation import Backend, Prompt, check_generates, generate
from hoshikage.models.entry import Entry
from hoshikage.plan import Plan, plan_of
from hoshikage.prompts import Text


def complete(backend: Backend, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a prompt. Raises ModelError at once, and what plan_of() and generate() raise."""
    entry = backend.registry.run(request.model)
    check_generates(entry, request.model, "generate")
    return continued(backend, entry, request)


async def continued(backend: Backend, entry: Entry, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
    plan = await asyncio.to_thread(plan_of, entry, request, backend.settings, template=request.template)
    reader = Reader(plan)
    prompt = Prompt(
        text=lambda: text_of(plan, entry, request),
        context=request.context,
        return_tokens=not request.raw,
        constrain=reader.begin,
    )
    async with aclosing(reader.read(generate(backend, entry, request, prompt))) as deltas:
        async for delta in deltas:
            yield delta


def text_of(plan: Plan, entry: Entry, request: CompletionRequest) -> Text:
    """As it is where it is raw, else by the plan, with the model's own messages unless tokens stand in their place."""
    if request.raw:
        return lambda _ready: request.prompt
    system = [Message(role="system", content=request.system)] if request.system else []
    history = () if request.context else entry.stored.messages
    return plan.text([*system, *history, Message(role="user", content=request.prompt)])
