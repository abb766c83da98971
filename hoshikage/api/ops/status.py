"""GET /v1/status: whether the server is well, for people and probes."""

import asyncio
from importlib.metadata import version
from typing import Any

from msgspec import to_builtins
from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.http import json_reply, services
from hoshikage.errors import EngineCrashed
from hoshikage.models.loaded import Loaded

VERSION = version("hoshikage")
NS = 1_000_000_000
ANSWER_SECONDS = 5.0
"""How long a worker may be silent, or at one step: a hung one is for ever."""


async def status(request: Request) -> Response:
    opened = services(request)
    asked = await asyncio.gather(*(counters(each) for each in opened.pool.loaded()))
    models = [found for found in asked if found]
    ramdisk = to_builtins(opened.keeper.report())
    found = {
        "status": "ok",
        "version": VERSION,
        "models": models,
        "cooling_down": to_builtins(opened.cooldown.pauses()),
        "ramdisk": ramdisk,
        "admission": to_builtins(opened.admission.report()),
    }
    return json_reply(found, media_type="application/json")


async def counters(loaded: Loaded) -> dict[str, Any]:
    """The worker's own counters, times in nanoseconds; only what it is where it is silent, nothing where it has
    ended."""
    engine = loaded.engine
    assert engine is not None  # noqa: S101  pool.loaded() holds only these
    known = {"name": loaded.name, "pid": engine.pid}
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await engine.statistics()
    except TimeoutError:
        return {**known, "answers": False}
    except EngineCrashed:
        return {}
    names = [name for name in found.__struct_fields__ if name != "id"]
    types = {"k": engine.ready.type_k, "v": engine.ready.type_v}
    how = {"kv_types": types, "gpu_layers": engine.ready.gpu_layers, "repack": engine.load.repack}
    answers = found.step_ns < ANSWER_SECONDS * NS
    return {**known, **how, "answers": answers, **{name: getattr(found, name) for name in names}}
