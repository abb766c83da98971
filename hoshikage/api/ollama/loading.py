"""The load and unload forms of chat and generate, and the warnings that both can give."""

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.http import owner_of, services
from hoshikage.api.ollama.options import ignored, options_of
from hoshikage.api.ollama.replies import Body, emptied
from hoshikage.api.ollama.wire import Base, keep_alive
from hoshikage.generation import load
from hoshikage.models.entry import Entry


async def load_or_unload(request: Request, entry: Entry, asked: Base, body: Body) -> Response:
    """With keep_alive 0 unload, else load and keep it for that long."""
    seconds, backend = keep_alive(asked), services(request).backend
    if seconds == 0:
        await backend.pool.unload(entry.file, entry.beside)
        return emptied(asked.model, body, "unload")
    warnings = await load(backend, entry, owner_of(request), seconds, options_of(asked.options))
    return emptied(asked.model, body, "load", (*warnings_of(asked), *warnings))


def warnings_of(asked: Base) -> tuple[str, ...]:
    """What was asked for and not done, for the warning header."""
    return (*(("think-ignored",) if asked.think else ()), *ignored(asked.options))
