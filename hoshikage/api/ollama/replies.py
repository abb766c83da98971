"""Deltas -> Ollama's objects, one a line. Knows what chat and generate have in common of them."""

import datetime
import functools
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.declared import context_header, own
from hoshikage.api.errors import ASKED_MODEL, IN_STREAM, OllamaError, StreamFault
from hoshikage.api.http import WARNING, Stream, encode, json_reply, until_disconnect, warning_headers
from hoshikage.api.ollama.logprobs import member
from hoshikage.conversation import Delta, Finished, TextDelta, ThinkingDelta, TokenLogprob, ToolCallDelta
from hoshikage.errors import ContextOverflow, EngineCrashed, HoshikageError, SequenceFailed
from hoshikage.fitting import Fitted


class Body(Protocol):
    """What holds a piece of an answer: {"message": …} or {"response": …}."""

    def __call__(self, text: str, thinking: str = "", calls: Sequence[ToolCallDelta] = (), /) -> dict[str, Any]: ...


NDJSON = "application/x-ndjson"
RUNNING = (StreamFault, ContextOverflow, EngineCrashed, SequenceFailed)
"""What Ollama finds out when it streams already."""


def note(request: Request, model: str, *, stream: bool) -> None:
    """What the errors of this request depend on."""
    setattr(request.state, ASKED_MODEL, model)
    setattr(request.state, IN_STREAM, RUNNING if stream else ())


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
    started = await until_disconnect(request, anext(deltas))
    headers = {**context_header(started), **warning_headers(asked.warnings, asked.num_ctx, started)}
    if asked.stream:
        return Stream(lines(asked, deltas, started_ns), failure, NDJSON, headers)
    whole, finished = await until_disconnect(request, collected(deltas))
    body = asked.body("".join(whole.text), "".join(whole.thinking), whole.calls)
    return json_reply(last(asked.model, body, finished, started_ns, whole.entries), headers=headers)


async def lines(asked: Asked, deltas: AsyncGenerator[Delta, None], started_ns: int) -> AsyncGenerator[bytes, None]:
    async with aclosing(deltas):
        async for delta in deltas:
            match delta:
                case TextDelta(text, logprobs):
                    yield part(asked, asked.body(text), logprobs)
                case ThinkingDelta(text, logprobs):
                    yield part(asked, asked.body("", text), logprobs)
                case ToolCallDelta():
                    yield part(asked, asked.body("", "", [delta]))
                case Finished():
                    yield line(last(asked.model, asked.body(""), delta, started_ns))


def part(asked: Asked, body: dict[str, Any], logprobs: Sequence[TokenLogprob] = ()) -> bytes:
    return line({**head(asked.model), **body, "done": False, **member(logprobs)})


@dataclass(slots=True)
class Whole:
    """All of an answer."""

    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: list[ToolCallDelta] = field(default_factory=list)
    entries: list[TokenLogprob] = field(default_factory=list)


async def collected(deltas: AsyncGenerator[Delta, None]) -> tuple[Whole, Finished]:
    whole = Whole()
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, Finished):
                return whole, delta
            if isinstance(delta, ToolCallDelta):
                whole.calls.append(delta)
            elif isinstance(delta, TextDelta | ThinkingDelta):
                (whole.text if isinstance(delta, TextDelta) else whole.thinking).append(delta.text)
                whole.entries += delta.logprobs
    raise RuntimeError("a generation ended without Finished")


def line(value: object) -> bytes:
    return encode(value) + b"\n"


def failure(error: HoshikageError) -> bytes:
    return line(OllamaError(str(error)))
