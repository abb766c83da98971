"""OpenAI's chat request as a struct, and how it becomes a chat. Fields not listed are passed over unless REFUSED.

msgspec refuses null unless it is allowed, and 40.0 for an int: real clients send both.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from hoshikage.api.errors import OpenAIFault
from hoshikage.api.openai.decode import Number, decoded, integer
from hoshikage.api.openai.logprobs import count_of
from hoshikage.api.openai.response_format import constraint_of
from hoshikage.conversation import ChatRequest as Chat
from hoshikage.conversation import Message as Turn
from hoshikage.durations import keep_alive_seconds

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
DEFAULTS = {"temperature": 1.0, "top_p": 1.0}
STOPS_MAX = 16


class Part(Struct):
    type: str
    text: str | None = None


class Message(Struct):
    role: str
    content: str | list[Part] | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


class ChatRequest(Struct, kw_only=True):
    """The parameters that this version honours, and those it must refuse."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Number | None = None
    max_completion_tokens: Number | None = None
    num_ctx: Number | None = None
    stop: str | list[str] | None = None
    keep_alive: Any = None
    n: Number | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: Any = None
    response_format: Any = None
    logprobs: bool | None = None
    top_logprobs: Number | None = None
    truncation: Any = None
    audio: Any = None
    web_search_options: Any = None
    moderation: Any = None


class Ask(Struct, frozen=True):
    """A chat, how its answer is sent, and what was passed over."""

    chat: Chat
    stream: bool
    include_usage: bool
    warnings: tuple[str, ...] = field(default=())


_decoder = msgspec.json.Decoder(ChatRequest, strict=True)


def decode(body: bytes) -> ChatRequest:
    """The request; sampling_of() reads the sampling options. Raises OpenAIFault (400) naming the field."""
    return decoded(_decoder, body)


def to_ask(request: ChatRequest, sampling: dict[str, object], owner: str) -> Ask:
    """Raises OpenAIFault for what this version cannot honour."""
    refuse(request)
    if not request.messages:
        raise OpenAIFault("[] is too short - 'messages'", param="messages", code="invalid_value")
    chat = Chat(
        model=request.model,
        owner=owner,
        options={**sampling, **options_of(request)},
        defaults=DEFAULTS,
        keep_alive=keep_alive(request),
        constraint=constraint_of(request.response_format),
        logprobs=count_of(request.logprobs, request.top_logprobs),
        truncate=request.truncation != "disabled",
        messages=tuple(turn(message, at) for at, message in enumerate(request.messages)),
    )
    usage = bool(request.stream_options and request.stream_options.include_usage)
    warnings = ("tools-ignored",) if request.tools else ()
    return Ask(chat, bool(request.stream), usage, warnings)


def refuse(request: ChatRequest) -> None:
    """What would change the answer's meaning if it were passed over in silence."""
    asked = {
        "n": request.n not in {None, 1},
        "tool_choice": request.tool_choice not in {None, "none", "auto"} if _plain(request.tool_choice) else True,
        "functions": bool(request.functions),
        "audio": request.audio is not None,
        "web_search_options": request.web_search_options is not None,
        "moderation": request.moderation is not None,
    }
    for name, given in asked.items():
        if given:
            text = f"{name} is not available in this version of hoshikage"
            raise OpenAIFault(text, param=name, code="unsupported_parameter")


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str)


def options_of(request: ChatRequest) -> dict[str, object]:
    """Ollama's names for what was given beside the sampling options."""
    most = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    if most is not None and (most == 0 or most < -1):
        raise OpenAIFault(f"max_tokens is {most}: it must be at least 1", param="max_tokens", code="invalid_value")
    options: dict[str, object] = {"num_ctx": integer("num_ctx", request.num_ctx)}
    options |= {"num_predict": integer("max_tokens", most), "stop": stops(request.stop)}
    return {name: value for name, value in options.items() if value is not None}


def stops(given: str | list[str] | None) -> list[str] | None:
    found = [given] if isinstance(given, str) else given
    if found and len(found) > STOPS_MAX:
        text = f"stop has {len(found)} strings: at most {STOPS_MAX}"
        raise OpenAIFault(text, param="stop", code="array_above_max_length")
    return [each for each in found if each] if found else None


def keep_alive(request: ChatRequest) -> float | None:
    if request.keep_alive is None:
        return None
    try:
        return keep_alive_seconds(request.keep_alive)
    except ValueError as error:
        raise OpenAIFault(str(error), param="keep_alive", code="invalid_value") from error


def turn(message: Message, at: int) -> Turn:
    """One turn as text. Raises OpenAIFault for what is no text, naming its place."""
    role = ROLES.get(message.role)
    if role is None:
        known = ", ".join(ROLES)
        raise OpenAIFault(
            f"role {message.role!r} is none of: {known}", param=f"messages[{at}].role", code="invalid_value"
        )
    if message.content is None and role != "assistant":
        raise OpenAIFault("content is missing", param=f"messages[{at}].content", code="missing_required_parameter")
    content = message.content or ""
    return Turn(role=role, content=content if isinstance(content, str) else _joined(content, at))


def _joined(parts: Sequence[Part], at: int) -> str:
    for number, part in enumerate(parts):
        if part.type != "text" or part.text is None:
            text = f"content of type {part.type!r} is not available for this model: only text"
            raise OpenAIFault(text, param=f"messages[{at}].content[{number}].type", code="unsupported_value")
    return "\n".join(part.text or "" for part in parts)
