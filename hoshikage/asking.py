"""From a request to its answer: admitted, planned, generated and read. What chat and completion have in common.

Knows no dialect and no HTTP.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from hoshikage.answer import Reader
from hoshikage.conversation import Delta, Request
from hoshikage.fitting import Fitted
from hoshikage.generation import Backend, Prompt, generate, rendered
from hoshikage.models.entry import Entry
from hoshikage.plan import Plan, plan_of

PromptOf = Callable[[Plan], Prompt]


async def ask(
    backend: Backend, entry: Entry, request: Request, prompt_of: PromptOf, template: str | None = None
) -> AsyncGenerator[Delta, None]:
    """The deltas of the answer; `template` is Go text in place of the model's own.

    Raises QuotaExceeded, Overloaded, and what plan_of() and generate() raise.
    """
    with backend.admission.enter(request.owner) as ticket:
        plan = await asyncio.to_thread(plan_of, entry, request, backend.settings, template=template)
        reader = Reader(plan)
        prompt = replace(prompt_of(plan), constrain=reader.begin)
        async with aclosing(reader.read(generate(backend, entry, request, prompt, ticket))) as deltas:
            async for delta in deltas:
                yield delta


async def preview(
    backend: Backend, entry: Entry, request: Request, prompt_of: PromptOf, template: str | None = None
) -> Fitted:
    """What would be sent to the engine. Raises what ask() raises."""
    with backend.admission.enter(request.owner):
        plan = await asyncio.to_thread(plan_of, entry, request, backend.settings, template=template)
        return await rendered(backend, entry, request, prompt_of(plan))
