"""POST /v1/chat/completions."""

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.declared import context_header, own
from hoshikage.api.errors import openai_body
from hoshikage.api.http import Stream, encode, json_reply, owner_of, services, until_disconnect, warning_headers
from hoshikage.api.openai.logprobs import content
from hoshikage.api.openai.options import sampling_of
from hoshikage.api.openai.wire import Ask, decode, to_ask
from hoshikage.chat import chat
from hoshikage.conversation import Delta, Finished, TextDelta, ThinkingDelta, TokenLogprob, Usage
from hoshikage.errors import HoshikageError

FINGERPRINT = "b_hoshikage"
SSE = "text/event-stream; charset=utf-8"


async def completions(request: Request) -> Response:
    """Continue the messages, as one object or as server-sent events."""
    body = await request.body()
    ask = to_ask(decode(body), sampling_of(body), owner_of(request))
    backend = services(request).backend
    name = backend.registry.run(ask.chat.model).name
    deltas = chat(backend, ask.chat)
    started = await until_disconnect(request, anext(deltas))
    warnings = warning_headers(ask.warnings, ask.chat.options.get("num_ctx"), started)
    headers = {**context_header(started), **warnings}
    if ask.stream:
        return Stream(events(ask, name, deltas), failure, SSE, headers)
    return json_reply(await until_disconnect(request, whole(ask, name, deltas)), 200, headers, "application/json")


def head(name: str, kind: str) -> dict[str, Any]:
    """What every chunk of one answer has the same."""
    return {
        "id": f"chatcmpl-{secrets.token_hex(16)}",
        "object": kind,
        "created": int(time.time()),
        "model": name,
        "system_fingerprint": FINGERPRINT,
    }


async def whole(ask: Ask, name: str, deltas: AsyncGenerator[Delta, None]) -> dict[str, Any]:
    parts: list[str] = []
    thoughts: list[str] = []
    entries: list[TokenLogprob] = []
    reason, used, told = "stop", None, None
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, TextDelta | ThinkingDelta):
                (parts if isinstance(delta, TextDelta) else thoughts).append(delta.text)
                entries += delta.logprobs
            elif isinstance(delta, Finished):
                reason, used, told = delta.reason, usage(delta.usage), own(delta.usage)
    reasoning = {"reasoning": "".join(thoughts)} if thoughts else {}
    message = {"role": "assistant", "content": "".join(parts), **reasoning, "refusal": None}
    logprobs = None if ask.chat.logprobs is None else content(entries)
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason}
    return {**head(name, "chat.completion"), "choices": [choice], "usage": used, "hoshikage": told}


async def events(ask: Ask, name: str, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[bytes, None]:
    """The role first, then text, the finish reason, the usage if asked for, and [DONE]."""
    start = head(name, "chat.completion.chunk")

    def chunk(
        delta: dict[str, Any], reason: str | None = None, entries: Sequence[TokenLogprob] = (), **more: object
    ) -> bytes:
        logprobs = content(entries) if entries else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return event({**start, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": None})
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                yield chunk({"content": delta.text}, entries=delta.logprobs)
            elif isinstance(delta, ThinkingDelta):
                yield chunk({"reasoning": delta.text}, entries=delta.logprobs)
            elif isinstance(delta, Finished):
                yield chunk({}, delta.reason, hoshikage=own(delta.usage))
                if ask.include_usage:
                    yield event({**start, "choices": [], "usage": usage(delta.usage)})
    yield b"data: [DONE]\n\n"


def usage(used: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.prompt_tokens + used.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
    }


def event(value: object) -> bytes:
    return b"data: " + encode(value) + b"\n\n"


def failure(error: HoshikageError) -> bytes:
    return event(openai_body(error))
