"""Tools and calls of them in Ollama's requests: structs, and what of them a chat keeps (contract §5.5, §5.6)."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from hoshikage.conversation import Tool as Given
from hoshikage.conversation import ToolCall as Call

Tools = Meta(extra={"go": "api.Tools"})
Properties = Meta(extra={"go": "api.ToolPropertiesMap"})
Arguments = Meta(extra={"go": "api.ToolCallFunctionArguments"})
KEPT = ("anyOf", "type", "items", "description", "enum", "properties", "required")
"""Of a property of a tool; every other key of JSON Schema is left out, as in Ollama."""
DEPTH_MAX = 64
"""Of properties inside properties; what is deeper is left out."""


class ToolCallFunction(Struct, kw_only=True):
    index: int = 0
    name: str = ""
    arguments: Annotated[dict[str, Any], Arguments] = field(default_factory=dict)


class ToolCall(Struct, kw_only=True):
    id: str = ""
    function: ToolCallFunction = field(default_factory=ToolCallFunction)


class ToolFunctionParameters(Struct, kw_only=True):
    type: str = ""
    defs: Any = field(default=None, name="$defs")
    items: Any = None
    required: list[str] = field(default_factory=list)
    properties: Annotated[dict[str, Any], Properties] = field(default_factory=dict)


class ToolFunction(Struct, kw_only=True):
    name: str = ""
    description: str = ""
    parameters: ToolFunctionParameters = field(default_factory=ToolFunctionParameters)


class Tool(Struct, kw_only=True):
    type: str = ""
    items: Any = None
    function: ToolFunction = field(default_factory=ToolFunction)


def call_of(call: ToolCall) -> Call:
    return Call(name=call.function.name, arguments=call.function.arguments, id=call.id)


def tool_of(tool: Tool) -> Given:
    """The tool with the keys that Ollama keeps, in its order; properties stay in the client's."""
    function, parameters = tool.function, tool.function.parameters
    schema = filled({
        "type": parameters.type,
        "$defs": parameters.defs,
        "items": parameters.items,
        "required": parameters.required,
    }) | {"properties": properties(parameters.properties)}
    described = filled({"name": function.name, "description": function.description}) | {"parameters": schema}
    return filled({"type": tool.type, "items": tool.items}) | {"function": described}


def properties(given: Mapping[str, object], depth: int = 0) -> dict[str, object]:
    found = {name: each for name, each in given.items() if isinstance(each, Mapping) and depth < DEPTH_MAX}
    return {name: schema_of(each, depth + 1) for name, each in found.items()}


def schema_of(given: Mapping[str, object], depth: int) -> dict[str, object]:
    kept = {key: value for key, value in given.items() if key in KEPT}
    if isinstance(inner := kept.get("properties"), Mapping):
        kept["properties"] = properties(inner, depth)
    if isinstance(alternatives := kept.get("anyOf"), list):
        usable = [each for each in alternatives if isinstance(each, Mapping) and depth < DEPTH_MAX]
        kept["anyOf"] = [schema_of(each, depth + 1) for each in usable]
    return kept


def filled(given: Mapping[str, object]) -> dict[str, object]:
    """Without what is empty."""
    return {key: value for key, value in given.items() if value not in ("", None, [], {})}
