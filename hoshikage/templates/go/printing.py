"""Values -> text as Go's %v, print and println write them."""

from collections.abc import Sequence

from hoshikage.templates.go import floats, jsontext
from hoshikage.templates.go.budget import Budget
from hoshikage.templates.go.values import Named, Record


def own_text(value: object) -> str | None:
    """What the value's String method gives; None where its type has none."""
    if isinstance(value, Named):
        return value.text if value.text is not None else jsontext.encode(value.json)
    if isinstance(value, Record) and value.shows_json:
        return jsontext.encode(value.json)
    return None


def shown(value: object) -> str:
    """As %v."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return floats.general(value)
    return _compound(value)


def _compound(value: object) -> str:
    own = own_text(value)
    if own is not None:
        return own
    if isinstance(value, Record):
        return "{" + " ".join(map(shown, value.fields.values())) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{shown(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(shown, value)) + "]"
    return str(value)


def printed(values: Sequence[object], budget: Budget) -> str:
    """As print: a space between two values of which neither is a string. Raises budget.Failure when it is too long."""
    parts: list[str] = []
    for before, value in zip([None, *values], values, strict=False):
        if parts and not isinstance(before, str) and not isinstance(value, str):
            parts.append(" ")
        parts.append(_paid(value, budget))
    return "".join(parts)


def printed_line(values: Sequence[object], budget: Budget) -> str:
    """As println: spaces everywhere and a newline. Raises budget.Failure when it is too long."""
    return " ".join([_paid(value, budget) for value in values]) + "\n"


def _paid(value: object, budget: Budget) -> str:
    text = shown(value)
    budget.made(len(text))
    return text
