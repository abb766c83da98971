"""The load and unload forms of chat and generate, and the warnings that both can give."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.http import owner_of, services
from hoshikage.api.ollama.options import ignored, options_of
from hoshikage.api.ollama.replies import Body, emptied
from hoshikage.api.ollama.wire import Base, keep_alive
from hoshikage.conversation import Request as Asking
from hoshikage.generation import load
from hoshikage.models.entry import Entry
from hoshikage.plan import plan_of

Turned = Callable[[], Asking]
"""Makes the request what every dialect understands."""


async def load_or_unload(request: Request, entry: Entry, asked: Base, turned: Turned, body: Body) -> Response:
    """With keep_alive 0 unload, else load and keep it for that long. What the model cannot do is said here, too."""
    seconds, backend = keep_alive(asked), services(request).backend
    if seconds == 0:
        await backend.pool.unload(entry.file, entry.stored.adapters)
        return emptied(asked.model, body, "unload")
    plan = await asyncio.to_thread(plan_of, entry, turned(), backend.settings)
    warnings = await load(backend, entry, owner_of(request), seconds, options_of(asked.options))
    return emptied(asked.model, body, "load", (*warnings_of(asked), *plan.warnings, *warnings))


def warnings_of(asked: Base) -> tuple[str, ...]:
    """What was asked for and not done, for the warning header."""
    return tuple(ignored(asked.options))
