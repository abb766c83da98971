"""Ollama's requests as structs, and how one becomes a chat or a completion."""

from typing import Annotated, Any

from msgspec import Struct, field

from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama.decode import GoImage, GoMap
from hoshikage.api.ollama.format import constraint_of
from hoshikage.api.ollama.options import options_of
from hoshikage.api.ollama.wire_tools import Tool, ToolCall, Tools, call_of, tool_of
from hoshikage.conversation import ChatRequest as Chat
from hoshikage.conversation import CompletionRequest as Completion
from hoshikage.conversation import Message as Turn
from hoshikage.durations import keep_alive_seconds

Image = Annotated[bytes, GoImage]
THINK_LEVELS = ("high", "medium", "low", "max")


class Message(Struct, kw_only=True):
    role: str = ""
    content: str = ""
    thinking: str = ""
    images: list[Image] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_name: str = ""
    tool_call_id: str = ""


class Base(Struct, kw_only=True):
    """What generate and chat have in common. `shift` is taken and means nothing: a context is never shifted."""

    model: str = ""
    stream: bool = True
    format: Any = None
    keep_alive: Any = None
    options: Annotated[dict[str, Any], GoMap] = field(default_factory=dict)
    think: Any = None
    logprobs: bool = False
    top_logprobs: int = 0
    truncate: bool = True
    shift: bool = True
    render_only: bool = field(default=False, name="_debug_render_only")


class ChatRequest(Base, kw_only=True):
    messages: list[Message] = field(default_factory=list)
    tools: Annotated[list[Tool], Tools] = field(default_factory=list)


class GenerateRequest(Base, kw_only=True):
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: list[int] | None = None
    raw: bool = False
    images: list[Image] = field(default_factory=list)


class ShowRequest(Struct, kw_only=True):
    model: str = ""
    name: str = ""
    verbose: bool = False
    system: str = ""
    options: Annotated[dict[str, Any], GoMap] = field(default_factory=dict)


def check(request: Base) -> None:
    """What can be refused before the model is looked up, in the contract's order (§4.2)."""
    keep_alive(request)
    accepted = '"high", "medium", "low", "max", true, or false'
    if isinstance(request.think, str) and request.think not in THINK_LEVELS:
        raise OllamaFault(400, f'invalid think value: "{request.think}" (must be {accepted})')
    if not isinstance(request.think, bool | str | None):
        raise OllamaFault(400, f"think must be a boolean or string ({accepted})")
    if not 0 <= request.top_logprobs <= 20:
        raise OllamaFault(400, "top_logprobs must be between 0 and 20")


def keep_alive(request: Base) -> float | None:
    """Seconds, or None where nothing was asked. Raises OllamaFault with Go's text."""
    if request.keep_alive is None:
        return None
    try:
        return keep_alive_seconds(request.keep_alive)
    except ValueError as error:
        raise OllamaFault(400, str(error)) from error


def to_chat(request: ChatRequest, owner: str) -> Chat:
    return Chat(
        model=request.model,
        owner=owner,
        options=options_of(request.options),
        keep_alive=keep_alive(request),
        constraint=constraint_of(request.format) if request.messages else None,
        logprobs=request.top_logprobs if request.logprobs else None,
        truncate=request.truncate,
        think=request.think,
        messages=tuple(map(turn, request.messages)),
        tools=tuple(map(tool_of, request.tools)),
    )


def turn(message: Message) -> Turn:
    return Turn(
        role=message.role.lower(),
        content=message.content,
        thinking=message.thinking,
        images=tuple(message.images),
        tool_calls=tuple(map(call_of, message.tool_calls)),
        tool_name=message.tool_name,
        tool_call_id=message.tool_call_id,
    )


def to_completion(request: GenerateRequest, owner: str) -> Completion:
    return Completion(
        model=request.model,
        owner=owner,
        options=options_of(request.options),
        keep_alive=keep_alive(request),
        constraint=constraint_of(request.format) if request.prompt else None,
        logprobs=request.top_logprobs if request.logprobs else None,
        truncate=False,
        think=request.think,
        prompt=request.prompt,
        suffix=request.suffix,
        system=request.system or None,
        template=request.template or None,
        raw=request.raw,
        context=None if request.context is None else tuple(request.context),
        images=tuple(request.images),
    )
