"""The load and unload forms of chat and generate, and the warnings that both can give."""

import asyncio

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


def unloads(asked: Base) -> bool:
    """Whether a request without prompt or messages asks for the end of the model."""
    return keep_alive(asked) == 0


async def unloaded(request: Request, entry: Entry, asked: Base, body: Body) -> Response:
    """Nothing else of such a request is looked at (contract §4.2)."""
    await services(request).pool.unload(entry.file, entry.beside)
    return emptied(asked.model, body, "unload")


async def loaded(request: Request, entry: Entry, asked: Base, turned: Asking, body: Body) -> Response:
    """Load it, and keep it for as long as is asked for. What the model cannot do is said here, too."""
    backend, options = services(request).backend, options_of(asked.options)
    plan = await asyncio.to_thread(plan_of, entry, turned, backend.settings)
    warnings = await load(backend, entry, owner_of(request), keep_alive(asked), options)
    return emptied(asked.model, body, "load", (*warnings_of(asked), *plan.warnings, *warnings))


def warnings_of(asked: Base) -> tuple[str, ...]:
    """What was asked for and not done, for the warning header."""
    return tuple(ignored(asked.options))
