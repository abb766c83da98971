"""Calls as JSON after whatever text the template puts before them (contract §6.8), for formats without a file."""

import json
from collections.abc import Sequence

from hoshikage.constraints import Constraint
from hoshikage.conversation import Tool
from hoshikage.templates.tools.base import Format, Parser, call_schema, functions
from hoshikage.templates.tools.tagged import TaggedCalls

INSTRUCTIONS = """You may call functions. These are available, as JSON:

{tools}

To call some of them, answer with nothing but JSON: {{"name": NAME, "arguments": {{…}}}}, or a list of such objects."""


def parser(tools: Sequence[Tool], tag: str) -> Parser:
    """`tag` is the text before calls; where it is nothing but JSON itself, the answer must start with the calls."""
    mark = tag.partition("{")[0].strip().removesuffix("[").rstrip()
    return TaggedCalls((name for name, _ in functions(tools)), mark)


def forced(tools: Sequence[Tool]) -> Constraint:
    """Exactly one call, without a tag."""
    return Constraint(kind="json_schema", source=json.dumps(call_schema(tools)), field="tools")


def instructions(tools: Sequence[Tool]) -> str:
    """What tells a model of tools whose template cannot."""
    return INSTRUCTIONS.format(tools="\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools))


FORMAT = Format("generic", lambda _template: True, parser, forced)
