"""eq, ne, lt, le, gt, ge: Go's basic kinds compare with their like only. Fails in Go's words."""

from collections.abc import Sequence

from hoshikage.templates.go.budget import Budget, Failure
from hoshikage.templates.go.values import Record, plain, type_name

KINDS: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "string"}


def equal(values: Sequence[object], budget: Budget) -> bool:
    """Whether the first equals one of the others. Raises budget.Failure where types cannot be compared."""
    if len(values) < 2:
        raise Failure("missing argument for comparison")
    return any(_same(values[0], other, budget) for other in values[1:])


def less(values: Sequence[object], budget: Budget) -> bool:
    """Whether the first of two is less. Raises budget.Failure where types have no order."""
    first, second = values
    kinds = {_ordered_kind(first), _ordered_kind(second)}
    if len(kinds) > 1:
        raise Failure("incompatible types for comparison")
    if isinstance(first, str) and isinstance(second, str):
        _pay(first, second, budget)
        return first < second
    if isinstance(first, int | float) and isinstance(second, int | float) and "bool" not in kinds:
        return first < second
    raise Failure("invalid type for comparison")


def less_or_equal(values: Sequence[object], budget: Budget) -> bool:
    """Whether the first of two is not greater."""
    return less(values, budget) or equal(values, budget)


def _ordered_kind(value: object) -> str:
    kind = KINDS.get(type(value))
    if kind is None:
        raise Failure("invalid type for comparison")
    return kind


def _same(first: object, second: object, budget: Budget) -> bool:
    if first is None or second is None:
        return first is second
    kinds = KINDS.get(type(first)), KINDS.get(type(second))
    if kinds[0] != kinds[1]:
        raise Failure("incompatible types for comparison")
    if kinds[0] is None:
        return _same_compound(first, second)
    if isinstance(first, str) and isinstance(second, str):
        _pay(first, second, budget)
    return first == second


def _same_compound(first: object, second: object) -> bool:
    if isinstance(first, Record) and isinstance(second, Record):
        return first is second
    if isinstance(plain(first), list) != isinstance(plain(second), list):
        raise Failure(f"non-comparable types {type_name(first)}, {type_name(second)}")
    raise Failure(f"non-comparable type {type_name(second)}")


def _pay(first: str, second: str, budget: Budget) -> None:
    budget.scanned(min(len(first), len(second)))
