"""The functions that templates may call: Go's own and those that Ollama adds. `and` and `or` are the evaluator's."""

import datetime
from collections.abc import Callable, Sequence

from msgspec import Struct

from hoshikage.templates.go import jsontext
from hoshikage.templates.go.budget import Budget, Failure
from hoshikage.templates.go.comparing import equal, less, less_or_equal
from hoshikage.templates.go.indexing import index, length, sliced
from hoshikage.templates.go.printf import printf
from hoshikage.templates.go.printing import printed, printed_line
from hoshikage.templates.go.values import Record, plain, truth

TYPESCRIPT = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}


class Signature(Struct, frozen=True):
    """`least` arguments, or at least so many; the first `strings` must be strings (-1: all)."""

    call: Callable[[Sequence[object], Budget], object]
    least: int
    variadic: bool = False
    strings: int = 0


def _json(values: Sequence[object], budget: Budget) -> str:
    try:
        encoded = jsontext.encode(values[0])
    except ValueError:
        return ""
    budget.made(len(encoded))
    return encoded


def _printf(values: Sequence[object], budget: Budget) -> str:
    return printf(str(values[0]), values[1:], budget)


def _date(days_ago: int) -> str:
    return (datetime.datetime.now().astimezone() - datetime.timedelta(days=days_ago)).strftime("%Y-%m-%d")


def _typescript(value: object) -> str:
    """The TypeScript type of a tool's property; "any" for whatever else."""
    if not isinstance(value, Record) or value.type != "api.ToolProperty":
        return "any"
    alternatives = plain(value.fields.get("AnyOf"))
    if isinstance(alternatives, list) and alternatives:
        return " | ".join(map(_typescript, alternatives))
    types = plain(value.fields.get("Type"))
    names = [TYPESCRIPT.get(str(name), "any") for name in types] if isinstance(types, list) else []
    return " | ".join(names) or "any"


FUNCTIONS: dict[str, Signature] = {
    "not": Signature(lambda values, _: not truth(values[0]), 1),
    "eq": Signature(equal, 1, variadic=True),
    "ne": Signature(lambda values, budget: not equal(values, budget), 2),
    "lt": Signature(less, 2),
    "le": Signature(less_or_equal, 2),
    "gt": Signature(lambda values, budget: not less_or_equal(values, budget), 2),
    "ge": Signature(lambda values, budget: not less(values, budget), 2),
    "len": Signature(lambda values, budget: length(values[0], budget), 1),
    "index": Signature(index, 1, variadic=True),
    "slice": Signature(sliced, 1, variadic=True),
    "print": Signature(printed, 0, variadic=True),
    "println": Signature(printed_line, 0, variadic=True),
    "printf": Signature(_printf, 1, variadic=True, strings=1),
    "json": Signature(_json, 1),
    "currentDate": Signature(lambda _values, _budget: _date(0), 0, variadic=True, strings=-1),
    "yesterdayDate": Signature(lambda _values, _budget: _date(1), 0, variadic=True, strings=-1),
    "toTypeScriptType": Signature(lambda values, _: _typescript(values[0]), 1),
}
CHOICES = frozenset({"and", "or"})
NAMES = CHOICES | FUNCTIONS.keys()


def check(name: str, given: int, piped: bool) -> None:
    """Raises Failure when `given` arguments, and one more if `piped`, are not what the function takes."""
    signature = FUNCTIONS.get(name)
    least, variadic = (signature.least, signature.variadic) if signature else (1, True)
    count = given + piped
    if variadic and count < least:
        raise Failure(f"wrong number of args for {name}: want at least {least} got {given}")
    if not variadic and count != least:
        raise Failure(f"wrong number of args for {name}: want {least} got {count}")
