"""A chat as every dialect understands it: what is asked, and what comes back. Knows no dialect."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

Reason = Literal["stop", "length"]


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn. `content` is text; the other fields are what the chat templates call them."""

    role: str
    content: str = ""


class Limits(Struct, frozen=True, kw_only=True):
    """Where a generation ends. `max_tokens` -1 = at the window's end; `num_ctx` 0 = the engine's window, in tokens."""

    max_tokens: int = -1
    num_ctx: int = 0
    stop: tuple[str, ...] = ()


class ChatRequest(Struct, frozen=True, kw_only=True):
    """A chat to be continued. `options` holds only the sampling options that were given."""

    model: str
    messages: tuple[Message, ...]
    owner: str = "local"
    options: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    limits: Limits = Limits()
    keep_alive: float | None = None


class CompletionRequest(Struct, frozen=True, kw_only=True):
    """A prompt to be continued; `raw` sends it without the chat template, `context` holds earlier tokens."""

    model: str
    prompt: str
    system: str | None = None
    raw: bool = False
    context: tuple[int, ...] | None = None
    owner: str = "local"
    options: Mapping[str, object] = field(default_factory=dict)
    limits: Limits = Limits()
    keep_alive: float | None = None


class TextDelta(Struct, frozen=True):
    """The next piece of the answer: whole characters, never empty."""

    text: str


class Usage(Struct, frozen=True, kw_only=True):
    """Counts in tokens and times in nanoseconds. `prompt_tokens` includes `cached_tokens`."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    load_ns: int
    prompt_ns: int
    eval_ns: int


class Finished(Struct, frozen=True, kw_only=True):
    """The end of the answer; `tokens` is prompt and answer, where they were asked for."""

    reason: Reason
    usage: Usage
    tokens: tuple[int, ...] = ()


Delta = TextDelta | Finished
