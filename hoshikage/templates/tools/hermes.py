"""Calls as Hermes and Qwen 2.5 and 3 write them: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`."""

import json
from collections.abc import Sequence

from hoshikage.constraints import Constraint
from hoshikage.conversation import Tool
from hoshikage.templates.tools.base import Format, Parser, call_schema, functions
from hoshikage.templates.tools.tagged import TaggedCalls

OPENING, CLOSING = "<tool_call>", "</tool_call>"


def matches(template: str) -> bool:
    """Whether the template writes calls so; those with `<function=` inside the tags are another format."""
    return OPENING in template and "<function=" not in template


def parser(tools: Sequence[Tool], _tag: str) -> Parser:
    return TaggedCalls((name for name, _ in functions(tools)), OPENING, CLOSING)


def forced(tools: Sequence[Tool]) -> Constraint:
    """Exactly one call."""
    schema = json.dumps(call_schema(tools))
    source = f'start: "{OPENING}\\n" call "\\n{CLOSING}"\ncall: %json {schema}\n'
    return Constraint(kind="lark", source=source, field="tools")


FORMAT = Format("hermes", matches, parser, forced)
