"""Deltas -> Ollama's objects, one a line. Knows what chat and generate have in common of them."""

import datetime
import functools
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.declared import context_header, own
from hoshikage.api.errors import IN_STREAM, OllamaError
from hoshikage.api.http import WARNING, Stream, encode, json_reply, until_disconnect, warning_headers
from hoshikage.api.ollama.logprobs import member
from hoshikage.conversation import Delta, Finished, TextDelta, TokenLogprob
from hoshikage.errors import ContextOverflow, EngineCrashed, HoshikageError, SequenceFailed
from hoshikage.fitting import Fitted

Body = Callable[[str], dict[str, Any]]
"""What holds a piece of text: {"message": …} or {"response": …}."""

NDJSON = "application/x-ndjson"
RUNNING = (ContextOverflow, EngineCrashed, SequenceFailed)
"""What Ollama finds out when it streams already."""


def stamp(unix_ns: int) -> str:
    """RFC 3339 in UTC with up to nine fractional digits, as Go prints it."""
    seconds, fraction = divmod(unix_ns, 10**9)
    digits = f"{fraction:09d}".rstrip("0")
    return f"{_whole(seconds)}.{digits}Z" if digits else f"{_whole(seconds)}Z"


@functools.lru_cache(maxsize=1)
def _whole(seconds: int) -> str:
    """Made once a second: it is the dearest part of a line."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def head(model: str) -> dict[str, Any]:
    return {"model": model, "created_at": stamp(time.time_ns())}


def emptied(model: str, body: Body, reason: str, warnings: tuple[str, ...] = ()) -> Response:
    """The answer to a request that only loads or unloads."""
    headers = {WARNING: ", ".join(warnings)} if warnings else None
    return json_reply({**head(model), **body(""), "done": True, "done_reason": reason}, headers=headers)


def last(
    model: str, body: dict[str, Any], finished: Finished, started_ns: int, entries: Sequence[TokenLogprob] = ()
) -> dict[str, Any]:
    """The object with done:true. Durations in nanoseconds; zeros are left out.

    A chat's logprobs come before the counts, those of generate after them, as in Ollama.
    """
    usage = finished.usage
    context = {"context": finished.tokens} if finished.tokens else {}
    metrics = {
        "total_duration": time.perf_counter_ns() - started_ns,
        "load_duration": usage.load_ns,
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_cached_count": usage.cached_tokens,
        "prompt_eval_duration": usage.prompt_ns,
        "eval_count": usage.completion_tokens,
        "eval_duration": usage.eval_ns,
    }
    end = {"done": True, "done_reason": finished.reason, **context}
    counts = {name: value for name, value in metrics.items() if value}
    rest = {**member(entries), **counts} if "message" in body else {**counts, **member(entries)}
    return {**head(model), **body, **end, **rest, "hoshikage": own(usage)}


def render_only(model: str, body: Body, fitted: Fitted) -> Response:
    """The answer to `_debug_render_only`: the prompt that would have been sent, as Ollama tells it."""
    images = sum(len(turn.images) for turn in fitted.turns)
    info = {"rendered_template": fitted.text, **({"image_count": images} if images else {})}
    return json_reply({**head(model), **body(""), "done": False, "_debug_info": info})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the answer depends on, of a chat or a generate request."""

    model: str
    body: Body
    stream: bool
    num_ctx: object
    warnings: tuple[str, ...]


async def answered(request: Request, asked: Asked, deltas: AsyncGenerator[Delta, None]) -> Response:
    """NDJSON or one object; the status and the headers are decided when the prompt is known to fit."""
    started_ns = time.perf_counter_ns()
    setattr(request.state, IN_STREAM, RUNNING if asked.stream else ())
    started = await until_disconnect(request, anext(deltas))
    headers = {**context_header(started), **warning_headers(asked.warnings, asked.num_ctx, started)}
    if asked.stream:
        return Stream(lines(asked, deltas, started_ns), failure, NDJSON, headers)
    text, entries, finished = await until_disconnect(request, collected(deltas))
    return json_reply(last(asked.model, asked.body(text), finished, started_ns, entries), headers=headers)


async def lines(asked: Asked, deltas: AsyncGenerator[Delta, None], started_ns: int) -> AsyncGenerator[bytes, None]:
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                yield line({**head(asked.model), **asked.body(delta.text), "done": False, **member(delta.logprobs)})
            elif isinstance(delta, Finished):
                yield line(last(asked.model, asked.body(""), delta, started_ns))


async def collected(deltas: AsyncGenerator[Delta, None]) -> tuple[str, list[TokenLogprob], Finished]:
    parts: list[str] = []
    entries: list[TokenLogprob] = []
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, Finished):
                return "".join(parts), entries, delta
            if isinstance(delta, TextDelta):
                parts.append(delta.text)
                entries += delta.logprobs
    raise RuntimeError("a generation ended without Finished")


def line(value: object) -> bytes:
    return encode(value) + b"\n"


def failure(error: HoshikageError) -> bytes:
    return line(OllamaError(str(error)))
