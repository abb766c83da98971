"""A chat as every dialect understands it: what is asked, and what comes back. Knows no dialect."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from hoshikage.constraints import Constraint

Reason = Literal["stop", "length"]
Options = Mapping[str, object]
"""Given options by Ollama's names: those of SamplingOptions, and num_predict, num_ctx and stop."""


Tool = Mapping[str, object]
"""A function that the model may call, as JSON: `type` and `function` with name, description and parameters."""
Think = bool | str | None
"""Whether the model is to think before it answers: unset, on or off, or a level, which is on."""


class ToolCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool by the model; `arguments` are a JSON object, `id` is what the result refers to."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    id: str = ""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn; `content` is text, `images` are whole files, and a tool's result names its call."""

    role: str
    content: str = ""
    thinking: str = ""
    images: tuple[bytes, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


class Request(Struct, frozen=True, kw_only=True):
    """What every request for text has. `options` were given with it, `defaults` are its dialect's.

    `keep_alive` in seconds: how long the model stays loaded afterwards; None leaves that as it was. `logprobs` asks for
    the probability of each token and for so many alternatives; None = not at all. With `truncate`, whole turns may be
    left out of a chat that is too long.
    """

    model: str
    owner: str = "local"
    options: Options = field(default_factory=dict)
    defaults: Options = field(default_factory=dict)
    keep_alive: float | None = None
    constraint: Constraint | None = None
    logprobs: int | None = None
    think: Think = None
    truncate: bool = True


class ChatRequest(Request, frozen=True, kw_only=True):
    """A chat to be continued, by a call of one of the `tools` too."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()


class CompletionRequest(Request, frozen=True, kw_only=True):
    """A prompt to be continued. `raw` sends it without the chat template, `context` holds the tokens before it: where
    it is given, even without any, the model's own messages are left out.

    `template` is Go text in place of the model's own; with a `suffix`, the answer is what stands between the two.
    """

    prompt: str
    suffix: str = ""
    images: tuple[bytes, ...] = ()
    system: str | None = None
    template: str | None = None
    raw: bool = False
    context: tuple[int, ...] | None = None


class Context(Struct, frozen=True, kw_only=True):
    """How a chat was made to fit: some of its turns may have been left out, of which `tokens_sent` tell nothing.

    `limit` is the most tokens that prompt and answer may have together; the cache has room for those `allocated`.
    """

    tokens_in: int
    tokens_sent: int
    limit: int
    allocated: int
    turns_total: int
    turns_left_out: int


class Started(Struct, frozen=True, kw_only=True):
    """The prompt fits and is being evaluated: whatever could be wrong with the request was not.

    `limit` is the most tokens that prompt and answer may have together; `warnings` name what was not done as asked.
    """

    prompt_tokens: int
    cached_tokens: int
    limit: int
    context: Context
    warnings: tuple[str, ...] = ()


class TokenLogprob(Struct, frozen=True, array_like=True):
    """One token of the answer: its bytes, the natural logarithm of its probability, and the most probable tokens.

    The probabilities are the model's own, before temperature and all other options. `top` is sorted, best first.
    """

    data: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


class TextDelta(Struct, frozen=True):
    """The next piece of the answer: whole characters, empty only where `logprobs`, those of its tokens, is not."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class ThinkingDelta(Struct, frozen=True):
    """The next piece of what the model thinks before it answers."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class ToolCallDelta(Struct, frozen=True):
    """A whole call of a tool; `index` counts the calls of this answer from 0."""

    index: int
    call: ToolCall


class Usage(Struct, frozen=True, kw_only=True):
    """Counts in tokens and times in nanoseconds. `prompt_tokens` includes `cached_tokens`.

    `reuse` tells where these came from, or why there are none; `evaluated_tokens` were prefilled.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    load_ns: int
    prompt_ns: int
    eval_ns: int
    context: Context
    queue_ns: int = 0
    evaluated_tokens: int = 0
    reuse: str = ""
    drafted_tokens: int = 0
    accepted_tokens: int = 0


class Finished(Struct, frozen=True, kw_only=True):
    """The end of the answer; `tokens` is prompt and answer, where they were asked for."""

    reason: Reason
    usage: Usage
    tokens: tuple[int, ...] = ()


Delta = Started | TextDelta | ThinkingDelta | ToolCallDelta | Finished
