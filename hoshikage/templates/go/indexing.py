"""index, slice and len, on strings by bytes. Fails in Go's words."""

from collections.abc import Sequence

from hoshikage.templates.go.budget import Budget, Failure
from hoshikage.templates.go.values import data, plain, text, type_name


def length(value: object, budget: Budget) -> int:
    """Bytes of a string, items of a slice or map. Raises budget.Failure for what has no length."""
    inner = plain(value)
    if isinstance(inner, str):
        return len(_bytes(inner, budget))
    if isinstance(inner, list | dict):
        return len(inner)
    raise Failure("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def index(values: Sequence[object], budget: Budget) -> object:
    """`index x 1 "key"` is x[1]["key"]; a missing key is nil. Raises budget.Failure where an index does not fit."""
    item = values[0]
    if item is None:
        raise Failure("index of untyped nil")
    for key in values[1:]:
        item = _item(item, key, budget)
    return item


def sliced(values: Sequence[object], budget: Budget) -> object:
    """`slice x 1 2` is x[1:2]. Raises budget.Failure where an index does not fit."""
    item, indexes = plain(values[0]), values[1:]
    if item is None:
        raise Failure("slice of untyped nil")
    if len(indexes) > 3:
        raise Failure(f"too many slice indexes: {len(indexes)}")
    if isinstance(item, str):
        if len(indexes) == 3:
            raise Failure("cannot 3-index slice a string")
        content = _bytes(item, budget)
        start, end = _bounds(indexes, len(content))
        return text(content[start:end])
    if not isinstance(item, list):
        raise Failure(f"can't slice item of type {type_name(item)}")
    start, end = _bounds(indexes, len(item))
    budget.scanned(end - start)
    return item[start:end]


def _item(item: object, key: object, budget: Budget) -> object:
    inner = plain(item)
    if inner is None:
        raise Failure("index of nil pointer")
    if isinstance(inner, dict):
        return inner.get(_key(key))
    if isinstance(inner, str):
        content = _bytes(inner, budget)
        return content[_position(key, len(content) - 1)]
    if isinstance(inner, list):
        return inner[_position(key, len(inner) - 1)]
    raise Failure(f"can't index item of type {type_name(item)}")


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise Failure(
        "value is nil; should be of type string"
        if key is None
        else f"value has type {type_name(key)}; should be string"
    )


def _position(index: object, last: int) -> int:
    if index is None:
        raise Failure("cannot index slice/array with nil")
    if not isinstance(index, int) or isinstance(index, bool):
        raise Failure(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= last:
        raise Failure(f"index out of range: {index}")
    return index


def _bounds(indexes: Sequence[object], size: int) -> tuple[int, int]:
    positions = [_position(index, size) for index in indexes]
    for start, end in zip(positions, [*positions[1:], size][: len(positions)], strict=True):
        if start > end:
            raise Failure(f"invalid slice index: {start} > {end}")
    start, end, *_ = [*positions, *[0, size][len(positions) :]]
    return start, end


def _bytes(value: str, budget: Budget) -> bytes:
    budget.scanned(len(value))
    return data(value)
