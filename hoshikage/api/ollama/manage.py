"""POST /api/pull, /api/create, /api/copy and DELETE /api/delete: what changes the models there are."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.errors import IN_STREAM, JSON, OllamaFault, StreamFault
from hoshikage.api.http import Stream, json_reply, services, until_disconnect
from hoshikage.api.ollama.decode import decode, read
from hoshikage.api.ollama.replies import NDJSON, failure, line
from hoshikage.api.ollama.wire_manage import CopyRequest, CreateRequest, DeleteRequest, PullRequest, to_recipe
from hoshikage.errors import BadName, HoshikageError, ModelNotFound, UnknownSource
from hoshikage.jobs.wire import CreateJob, PullJob
from hoshikage.models import disposal
from hoshikage.models.hubs.base import Progress
from hoshikage.models.names import parse_exact, unsuffixed
from hoshikage.models.pull import takers
from hoshikage.services import unload_unregistered

Steps = AsyncGenerator[Progress, None]


async def pull(request: Request) -> Response:
    """Fetch a model; two clients who want the same one follow one download."""
    asked = decode(await request.body(), PullRequest)
    name = unsuffixed(asked.model or asked.name)
    try:
        takers(name)
    except UnknownSource as error:
        raise OllamaFault(400, "invalid model name") from error
    return await told(request, services(request).board.follow(PullJob(name, asked.insecure)), stream=asked.stream)


async def create(request: Request) -> Response:
    """Make a model; what can be refused at once is refused with its status."""
    asked = await read(request, CreateRequest)
    setattr(request.state, IN_STREAM, StreamFault)
    recipe = await asyncio.to_thread(to_recipe, asked, services(request).registry.files)
    return await told(request, services(request).board.follow(CreateJob(recipe)), stream=asked.stream)


async def told(request: Request, steps: Steps, *, stream: bool) -> Response:
    """The steps as NDJSON, or the last one. An error before the first step has its status."""
    setattr(request.state, IN_STREAM, Exception)
    if not stream:
        last = await until_disconnect(request, last_of(steps))
        return json_reply({"status": last.status if last else "success"}, media_type=JSON)
    first = await until_disconnect(request, anext(steps))
    return Stream(lines(first, steps), failure, NDJSON)


async def lines(first: Progress, steps: Steps) -> AsyncGenerator[bytes, None]:
    """One line a step. An error is the last line, and the body ends as any other: nothing of it is missing."""
    async with aclosing(steps):
        yield line(first)
        try:
            async for step in steps:
                yield line(step)
        except HoshikageError as error:
            yield failure(error)


async def last_of(steps: Steps) -> Progress | None:
    last = None
    async with aclosing(steps):
        async for step in steps:
            last = step
    return last


async def copy(request: Request) -> Response:
    """Register a model under a second name."""
    asked = decode(await request.body(), CopyRequest)
    for what, name in (("source", asked.source), ("destination", asked.destination)):
        try:
            parse_exact(name)
        except BadName as error:
            raise OllamaFault(400, f'{what} "{name}" is invalid') from error
    try:
        await asyncio.to_thread(services(request).registry.copy, asked.source, asked.destination)
    except ModelNotFound as error:
        raise OllamaFault(404, f'model "{asked.source}" not found') from error
    except OSError as error:  # a full disk
        raise OllamaFault(500, str(error)) from error
    return Response()


async def delete(request: Request) -> Response:
    """Unregister a model, and delete what was fetched for it alone."""
    asked = decode(await request.body(), DeleteRequest)
    name = asked.model or asked.name
    if not name.strip():
        raise OllamaFault(400, "model is required")
    found = services(request)
    try:
        await asyncio.to_thread(disposal.delete, found.registry, unsuffixed(name))
    except BadName as error:
        raise OllamaFault(400, f'name "{name}" is invalid') from error
    except ModelNotFound as error:
        raise OllamaFault(404, f"model '{name}' not found") from error
    await unload_unregistered(found.registry, found.pool)
    return Response()
