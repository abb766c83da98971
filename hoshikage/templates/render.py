"""A chat -> the prompt text, by the model's own Jinja template in a sandbox. Knows no engine."""

import datetime
import functools
import json
from collections.abc import Iterator, Mapping, Sequence

import jinja2

from hoshikage.conversation import Message
from hoshikage.errors import TemplateFailed
from hoshikage.templates.sandbox import BOUNDS, Bounds, Sandbox

TEMPLATE_BYTES_MAX = 1 << 20
PROMPT_CHARACTERS_MAX = 1 << 28
PROBE = "what is shown"
INDENTED = 1000
"""Lines that JSON is taken to have, where it is indented."""


def render(template: str, messages: Sequence[Message], *, bos: str, eos: str) -> str:
    """The prompt for the assistant's next turn. Raises TemplateFailed with the template's own reason and line."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return _rendered(template, _in_parts(turns) if wants_parts(template) else turns, bos, eos)


@functools.lru_cache(maxsize=32)
def wants_parts(template: str) -> bool:
    """Whether it shows a turn's text only as a list of typed parts: tried out, since it can be written in many ways."""
    if "type" not in template:
        return False
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


def _rendered(template: str, turns: Sequence[Mapping[str, object]], bos: str, eos: str) -> str:
    BOUNDS.set(Bounds())
    try:
        chunks = _compiled(template).generate(
            messages=turns,
            add_generation_prompt=True,
            bos_token=bos,
            eos_token=eos,
            tools=None,
            raise_exception=_refuse,
            strftime_now=_now,
        )
        return _joined(chunks)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise TemplateFailed(reason=_reason(error)) from error


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
