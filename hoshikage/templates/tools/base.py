"""What a format of calls is, and what all those have in common whose calls are JSON. Knows no template."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from hoshikage.constraints import Constraint
from hoshikage.conversation import Tool, ToolCall

Event = str | ToolCall
"""Text of the answer, or a whole call; a call's id is given to it later."""


class Parser(Protocol):
    """Reads one answer as it comes."""

    def feed(self, text: str) -> list[Event]:
        """The events that `text` completes."""

    def end(self) -> list[Event]:
        """What was held back: nothing of an answer is lost."""


class Format(NamedTuple):
    """One way to write calls.

    `matches` judges by a chat template's text. `parser` is given the tools of the request and the tag that the template
    writes before calls; `forced` is what an answer must be that calls one of them.
    """

    name: str
    matches: Callable[[str], bool]
    parser: Callable[[Sequence[Tool], str], Parser]
    forced: Callable[[Sequence[Tool]], Constraint]


def functions(tools: Sequence[Tool]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Name and parameters of each tool that has a name."""
    for tool in tools:
        function = tool.get("function")
        if isinstance(function, Mapping) and isinstance(name := function.get("name"), str) and name:
            parameters = function.get("parameters")
            yield name, parameters if isinstance(parameters, Mapping) else {}


def call_of(value: object, names: frozenset[str]) -> ToolCall | None:
    """The call that a JSON value is: a known name, and an object of arguments or none."""
    if not isinstance(value, Mapping) or value.get("name") not in names:
        return None
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):  # some models write the object as text
        arguments = loaded(arguments)
    if arguments is None:
        arguments = {}
    return ToolCall(name=str(value["name"]), arguments=arguments) if isinstance(arguments, dict) else None


def loaded(text: str) -> object:
    """The JSON value of a text, line breaks in its strings allowed; False where it is none."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False


def call_schema(tools: Sequence[Tool], arguments: str = "arguments") -> dict[str, object]:
    """The JSON schema of a call of one of the tools."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, arguments: {"type": "object", **parameters}},
            "required": ["name", arguments],
            "additionalProperties": False,
        }
        for name, parameters in functions(tools)
    ]
    return {"anyOf": calls}


class Scanner:
    """Finds the end of a JSON object or list in text that comes in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._escaped = False
        self.quoted = False
        """Whether the text so far ends inside a string."""

    def feed(self, character: str) -> bool:
        """Whether the value ends with this character."""
        if self._escaped:
            self._escaped = False
        elif self.quoted:
            self._escaped, self.quoted = character == "\\", character != '"'
        elif character == '"':
            self.quoted = True
        elif character in "[{":
            self._depth += 1
        elif character in "]}":
            self._depth -= 1
            return self._depth <= 0
        return False
