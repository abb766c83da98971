"""A chat -> the prompt text, by the model's own Jinja template in a sandbox. Knows no engine."""

import datetime
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2

from hoshikage.conversation import Message, Think, Tool, ToolCall
from hoshikage.errors import TemplateFailed
from hoshikage.templates.sandbox import BOUNDS, Bounds, Sandbox

TEMPLATE_BYTES_MAX = 1 << 20
PROMPT_CHARACTERS_MAX = 1 << 28
LEVELS = {"max": "high"}
"""Levels that templates do not know, and the ones in their place."""
PROBE = "what is shown"
INDENTED = 1000
"""Lines that JSON is taken to have, where it is indented."""


def render(
    template: str,
    messages: Sequence[Message],
    *,
    bos: str,
    eos: str,
    tools: Sequence[Tool] = (),
    think: Think = None,
) -> str:
    """The prompt for the assistant's next turn. Raises TemplateFailed with the template's own reason and line."""
    turns = [turn(message) for message in messages]
    given = {"tools": list(tools) or None, **thinking(think)}
    return _rendered(template, _in_parts(turns) if wants_parts(template) else turns, bos, eos, given)


@functools.lru_cache(maxsize=32)
def wants_parts(template: str) -> bool:
    """Whether it shows a turn's text only as a list of typed parts: tried out, since it can be written in many ways."""
    turns = [{"role": "user", "content": PROBE}]
    return not _shows(template, turns) and _shows(template, _in_parts(turns))


def _in_parts(turns: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Images are marks in the text here: mtmd puts around them what the model wants, not the template."""
    return [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]


def _shows(template: str, turns: Sequence[Mapping[str, object]]) -> bool:
    try:
        return PROBE in _rendered(template, turns, "", "")
    except TemplateFailed:
        return False


def _rendered(
    template: str,
    turns: Sequence[Mapping[str, object]],
    bos: str,
    eos: str,
    given: Mapping[str, object] | None = None,
) -> str:
    BOUNDS.set(Bounds())
    try:
        chunks = _compiled(template).generate(
            messages=turns,
            add_generation_prompt=True,
            bos_token=bos,
            eos_token=eos,
            raise_exception=_refuse,
            strftime_now=_now,
            **(given or {"tools": None}),
        )
        return _joined(chunks)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise TemplateFailed(reason=_reason(error)) from error


def turn(message: Message) -> dict[str, Any]:
    """A message as templates read it, in the shape of OpenAI's API; what is empty is not there."""
    optional = {
        "tool_calls": [called(call) for call in message.tool_calls],
        "reasoning_content": message.thinking,
        "thinking": message.thinking,
        "name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    given = {key: value for key, value in optional.items() if value}
    return {"role": message.role, "content": message.content, **given}


def called(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}


def thinking(think: Think) -> dict[str, object]:
    """The variables by which templates are told to think, if anything was asked."""
    if think is None:
        return {}
    switch: dict[str, object] = {"enable_thinking": bool(think), "thinking": bool(think)}
    return {**switch, "reasoning_effort": LEVELS.get(think, think)} if isinstance(think, str) else switch


@functools.lru_cache(maxsize=32)
def _compiled(template: str) -> jinja2.Template:
    if len(template) > TEMPLATE_BYTES_MAX:
        raise TemplateFailed(reason=f"a template of {len(template)} characters")
    environment = Sandbox()
    environment.filters["tojson"] = _tojson
    return environment.from_string(template)


def _joined(chunks: Iterator[str]) -> str:
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > PROMPT_CHARACTERS_MAX:
            raise TemplateFailed(reason=f"the prompt grew over {PROMPT_CHARACTERS_MAX} characters")
        parts.append(chunk)
    return "".join(parts)


def _refuse(message: str) -> str:
    raise jinja2.TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.datetime.now().astimezone().strftime(pattern)


def _tojson(value: object, indent: int | None = None) -> str:
    BOUNDS.get().made((indent or 0) * INDENTED)
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _reason(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    text = str(error) or type(error).__name__
    return f"{text} (line {line})" if line else text
