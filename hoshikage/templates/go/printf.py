"""printf: a format and its arguments -> text, with Go's notes where the two do not agree."""

import re
from collections.abc import Sequence

from hoshikage.templates.go.budget import Budget, Failure
from hoshikage.templates.go.printing import shown
from hoshikage.templates.go.values import type_name
from hoshikage.templates.go.verbs import Verb, formatted

DIRECTIVE = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d*))?(?P<verb>.)?", re.DOTALL)
NUMBER_MAX = 1_000_000
"""Go's own bound for widths and precisions."""


def printf(template: str, values: Sequence[object], budget: Budget) -> str:
    """As Go's fmt.Sprintf. Raises budget.Failure for argument indexes (`%[1]d`) and for texts that are too long."""
    arguments = _Arguments(values)
    parts: list[str] = []
    end = 0
    for found in DIRECTIVE.finditer(template):
        parts += [template[end : found.start()], _paid(_directive(found, arguments), budget)]
        end = found.end()
    return "".join([*parts, template[end:], arguments.rest()])


def _paid(text: str, budget: Budget) -> str:
    budget.made(len(text))
    return text


class _Arguments:
    def __init__(self, values: Sequence[object]) -> None:
        self._values = values
        self._next = 0

    def left(self) -> bool:
        return self._next < len(self._values)

    def take(self) -> object:
        self._next += 1
        return self._values[self._next - 1]

    def rest(self) -> str:
        """Go's note on the arguments that no verb took."""
        extra = [self.take() for _ in range(self._next, len(self._values))]
        notes = ["<nil>" if value is None else f"{type_name(value)}={shown(value)}" for value in extra]
        return f"%!(EXTRA {', '.join(notes)})" if notes else ""


def _directive(found: re.Match[str], arguments: _Arguments) -> str:
    letter = found["verb"]
    if letter == "[":
        raise Failure("printf: argument indexes are not supported")
    notes, flags = "", found["flags"]
    width, wrong = _number(found["width"], arguments)
    notes += "%!(BADWIDTH)" if wrong else ""
    if width is not None and width < 0:
        flags, width = flags + "-", -width
    precision, wrong = _number(found["precision"], arguments)
    notes += "%!(BADPREC)" if wrong or (precision or 0) < 0 else ""
    if letter is None:
        return notes + "%!(NOVERB)"
    if letter == "%":
        return notes + "%"
    if not arguments.left():
        return f"{notes}%!{letter}(MISSING)"
    kept = precision if precision is None or precision >= 0 else None
    return notes + formatted(Verb(letter, flags, width, kept), arguments.take())


def _number(source: str | None, arguments: _Arguments) -> tuple[int | None, bool]:
    """A width or precision, and whether it is one that Go refuses."""
    if source is None:
        return None, False
    value = arguments.take() if source == "*" and arguments.left() else None
    if source != "*":
        value = int(source or 0) if len(source) < 8 else NUMBER_MAX + 1
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > NUMBER_MAX:
        return None, True
    return value, False
