"""GET /v1/status: whether the server is well, for people and probes."""

from contextlib import suppress
from importlib.metadata import version
from typing import Any

from msgspec import to_builtins
from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.http import json_reply, services
from hoshikage.errors import EngineCrashed
from hoshikage.models.loaded import Loaded


async def status(request: Request) -> Response:
    opened = services(request)
    models = []
    for loaded in opened.pool.loaded():
        with suppress(EngineCrashed):
            models.append(await counters(loaded))
    ramdisk = to_builtins(opened.keeper.report())
    found = {"status": "ok", "version": version("hoshikage"), "models": models, "ramdisk": ramdisk}
    return json_reply(found, media_type="application/json")


async def counters(loaded: Loaded) -> dict[str, Any]:
    """The worker's own counters; times in nanoseconds."""
    engine = loaded.engine
    assert engine is not None  # noqa: S101  pool.loaded() holds only these
    found = await engine.statistics()
    names = [name for name in found.__struct_fields__ if name != "id"]
    return {"name": loaded.name, "pid": engine.pid, **{name: getattr(found, name) for name in names}}
