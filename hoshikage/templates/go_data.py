"""Messages and tools -> the values that Ollama's Go templates see, by its names of fields. Knows no template.

Messages and tools come as mappings in the API's shapes; what is missing or of another type is a zero value.
"""

from collections.abc import Mapping, Sequence

from hoshikage.conversation import Message
from hoshikage.errors import TemplateFailed
from hoshikage.templates.go.values import Named, Record, clean

DEPTH_MAX = 64
"""Of JSON in arguments and schemas."""
Given = Mapping[str, object]


def message(role: str, content: str, given: Given) -> Record:
    """One turn, with its thinking, images and calls from `given`."""
    calls = [_call(call) for call in _mappings(given, "tool_calls")]
    optional = {key: _text(given, key) for key in ("thinking", "tool_name", "tool_call_id")}
    images = _list(given, "images")
    json = _without_empty(
        {"role": role, "content": content},
        {
            "thinking": optional["thinking"],
            "images": images,
            "tool_calls": [call.json for call in calls],
            "tool_name": optional["tool_name"],
            "tool_call_id": optional["tool_call_id"],
        },
    )
    fields: dict[str, object] = {
        "Role": role,
        "Content": content,
        "Thinking": optional["thinking"],
        "Images": images,
        "ToolCalls": calls,
        "ToolName": optional["tool_name"],
        "ToolCallID": optional["tool_call_id"],
    }
    return Record("*api.Message", fields, json)


def tools(given: Sequence[Given]) -> Named:
    """The tools of a request; they print as JSON."""
    items = [_tool(tool) for tool in given]
    return Named("api.Tools", list(items), [item.json for item in items] or None)


def as_mapping(turn: Message | Given) -> dict[str, object]:
    """A turn as a mapping with clean `role` and `content`."""
    given: dict[str, object] = {}
    given |= _of_message(turn) if isinstance(turn, Message) else turn
    return given | {"role": _text(given, "role").lower(), "content": _text(given, "content")}


def _of_message(turn: Message) -> dict[str, object]:
    """A turn in the API's shape; images are not text and come another way."""
    return {
        "role": turn.role,
        "content": turn.content,
        "thinking": turn.thinking,
        "tool_calls": [
            {"id": call.id, "function": {"index": at, "name": call.name, "arguments": call.arguments}}
            for at, call in enumerate(turn.tool_calls)
        ],
        "tool_name": turn.tool_name,
        "tool_call_id": turn.tool_call_id,
    }


def _call(given: Given) -> Record:
    function = _mapping(given, "function")
    raw = function.get("index")
    index = raw if isinstance(raw, int) else 0
    name, arguments = _text(function, "name"), _object(_mapping(function, "arguments"))
    inner: dict[str, object] = {"index": index, "name": name, "arguments": arguments}
    identity = _text(given, "id")
    fields: dict[str, object] = {
        "Index": index,
        "Name": name,
        "Arguments": Named("api.ToolCallFunctionArguments", arguments, arguments),
    }
    json = {"id": identity, "function": inner} if identity else {"function": inner}
    return Record("api.ToolCall", {"ID": identity, "Function": Record("api.ToolCallFunction", fields, inner)}, json)


def _tool(given: Given) -> Record:
    function = _function(_mapping(given, "function"))
    kind, items = _text(given, "type"), _json(given.get("items"))
    json = _without_empty({"type": kind}, {"items": items}) | {"function": function.json}
    return Record("api.Tool", {"Type": kind, "Items": items, "Function": function}, json, shows_json=True)


def _function(given: Given) -> Record:
    name, description = _text(given, "name"), _text(given, "description")
    parameters = _parameters(_mapping(given, "parameters"))
    json = _without_empty({"name": name}, {"description": description}) | {"parameters": parameters.json}
    fields: dict[str, object] = {"Name": name, "Description": description, "Parameters": parameters}
    return Record("api.ToolFunction", fields, json, shows_json=True)


def _parameters(given: Given) -> Record:
    kind, defs, items = _text(given, "type"), _json(given.get("$defs")), _json(given.get("items"))
    required = _list(given, "required")
    properties = _properties(given.get("properties"), 0)
    json = _without_empty({"type": kind}, {"$defs": defs, "items": items, "required": required})
    fields: dict[str, object] = {
        "Type": kind,
        "Defs": defs,
        "Items": items,
        "Required": required,
        "Properties": properties,
    }
    return Record("api.ToolFunctionParameters", fields, json | {"properties": properties.json}, shows_json=True)


def _properties(given: object, depth: int) -> Named:
    if not isinstance(given, Mapping):
        return Named("api.ToolPropertiesMap", {}, None)
    items = {clean(str(name)): _property(item, depth) for name, item in given.items() if isinstance(item, Mapping)}
    return Named("api.ToolPropertiesMap", dict(items), {name: item.json for name, item in items.items()})


def _property(given: Given, depth: int) -> Record:
    _check(depth)
    alternatives = [_property(item, depth + 1) for item in _mappings(given, "anyOf")]
    kind = _property_type(given.get("type"))
    items, description, values = _json(given.get("items")), _text(given, "description"), _list(given, "enum")
    properties, required = _properties(given.get("properties"), depth + 1), _list(given, "required")
    json = _without_empty(
        {},
        {
            "anyOf": [item.json for item in alternatives],
            "type": kind.json,
            "items": items,
            "description": description,
            "enum": values,
            "properties": properties.json if "properties" in given else "",
            "required": required,
        },
    )
    fields: dict[str, object] = {
        "AnyOf": alternatives,
        "Type": kind,
        "Items": items,
        "Description": description,
        "Enum": values,
        "Properties": properties,
        "Required": required,
    }
    return Record("api.ToolProperty", fields, json)


def _property_type(given: object) -> Named:
    """One type prints as its name, several as a list."""
    listed = given if isinstance(given, list | tuple) else [given]
    names = [clean(name) for name in listed if isinstance(name, str)]
    one = names[0] if len(names) == 1 else None
    text = one if one is not None else f"[{' '.join(names)}]" if names else ""
    return Named("api.PropertyType", list(names), names if one is None else one, text)


def _without_empty(always: dict[str, object], optional: dict[str, object]) -> dict[str, object]:
    return always | {key: value for key, value in optional.items() if value not in ("", None, [], {})}


def _text(given: Given, key: str) -> str:
    value = given.get(key)
    return clean(value) if isinstance(value, str) else ""


def _mapping(given: Given, key: str) -> Given:
    value = given.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(given: Given, key: str) -> list[object]:
    value = given.get(key)
    return [_json(item) for item in value] if isinstance(value, list | tuple) else []


def _mappings(given: Given, key: str) -> list[Given]:
    value = given.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def _object(given: Given, depth: int = 0) -> dict[str, object]:
    return {clean(str(key)): _json(item, depth + 1) for key, item in given.items()}


def _json(value: object, depth: int = 0) -> object:
    """A JSON value as Go decodes it: numbers are float64, except integers that one cannot hold."""
    _check(depth)
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return _object(value, depth)
    if isinstance(value, list | tuple):
        return [_json(item, depth + 1) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1 << 53 else value
    return value if isinstance(value, float | bool) else None


def _check(depth: int) -> None:
    if depth > DEPTH_MAX:
        raise TemplateFailed(reason=f"tools or arguments nested deeper than {DEPTH_MAX} levels")
