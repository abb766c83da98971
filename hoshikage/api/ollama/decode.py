"""Request bodies as Go's encoding/json reads them, with its error texts word for word (contract §2).

Keys fold case, null is absence, what follows the first value is ignored, 40.0 is an integer. Knows no route.
"""

import asyncio
import functools
import json
import math
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Self, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.inspect import (
    BoolType,
    BytesType,
    DictType,
    Field,
    FloatType,
    IntType,
    ListType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)
from starlette.requests import Request

from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama import base64
from hoshikage.api.ollama.syntax import quoted, reason

GoMap = Meta(extra={"go": "map[string]interface {}"})
"""Annotates a dict."""
GoImage = Meta(extra={"go": "api.ImageData"})
"""Annotates bytes, which are base64 in JSON."""

T = TypeVar("T", bound=Struct)

LARGE_BYTES = 1 << 18
"""Decoding this takes long enough for others to notice."""

INT64 = range(-(2**63), 2**63)

inspected = functools.cache(type_info)
"""Walking over a struct's annotations takes longer than all the rest of a short request."""

KINDS: tuple[tuple[type, str], ...] = ((bool, "bool"), (dict, "object"), (list, "array"), (str, "string"))


class NumberFault(OllamaFault):
    """A number that its field cannot hold: Go repeats its digits."""


class Written(float):
    """A number that is printed as it was written."""

    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


async def read(request: Request, shape: type[T]) -> T:
    """The struct in a request's body; a large one is decoded in a thread. Raises what `decode` raises."""
    body = await request.body()
    return await asyncio.to_thread(decode, body, shape) if len(body) > LARGE_BYTES else decode(body, shape)


def decode(body: bytes, shape: type[T]) -> T:
    """The struct in a request's body. Raises OllamaFault (400) with Go's text."""
    text = body.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if start == len(text):
        raise OllamaFault(400, "missing request body")
    info = inspected(shape)
    assert isinstance(info, StructType)  # noqa: S101
    try:
        found = _fields(_object(text, start, shape), info, shape.__name__, "")
    except NumberFault:
        _fields(_object(text, start, shape, Written), info, shape.__name__, "")  # raises the same, as it was written
        raise
    return msgspec.convert(found, shape)


def _object(text: str, start: int, shape: type, number: Callable[[str], float] = float) -> dict[str, Any]:
    value = _parsed(text, start, number)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OllamaFault(400, f"json: cannot unmarshal {_kind(value)} into Go value of type api.{shape.__name__}")
    return value


def _parsed(text: str, start: int, number: Callable[[str], float]) -> Any:
    try:
        decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=number)
        value, _end = decoder.raw_decode(text, start)
        return _scrubbed(value) if "\\ud" in text or "\\uD" in text else value
    except json.JSONDecodeError as error:
        raise OllamaFault(400, reason(text, error.msg, error.pos)) from error
    except RecursionError as error:
        raise OllamaFault(400, "exceeded max depth") from error
    except ValueError as error:
        raise OllamaFault(400, f"json: {error}") from error


def _no_constant(name: str) -> NoReturn:
    where = "in numeric literal" if name[0] == "-" else "looking for beginning of value"
    raise OllamaFault(400, f"invalid character {quoted(name.lstrip('-')[0])} {where}")


def _scrubbed(value: Any) -> Any:
    """Lone surrogates become U+FFFD, as in Go; nothing else could encode them again."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_scrubbed(each) for each in value]
    return {_scrubbed(k): _scrubbed(v) for k, v in value.items()} if isinstance(value, dict) else value


def _kind(value: object) -> str:
    return next((name for cls, name in KINDS if isinstance(value, cls)), "number")


def _fields(value: dict[str, Any], info: StructType, root: str, path: str) -> dict[str, Any]:
    known = {field.encode_name.lower(): field for field in info.fields}
    found = {}
    for key, each in value.items():
        field = known.get(key.lower())
        if field is not None and each is not None:
            found[field.encode_name] = _value(each, field.type, root, f"{path}{field.encode_name}")
    return {**_required(info.fields), **found}


def _required(fields: tuple[Field, ...]) -> dict[str, Any]:
    """Nothing is required in Go: what is absent has its zero value."""
    return {field.encode_name: "" for field in fields if field.required and isinstance(field.type, StrType)}


def _value(value: Any, wanted: Type, root: str, path: str) -> Any:
    go = _go_name(wanted)
    inner = _bare(wanted)
    where = f"into Go struct field {root}.{path} of type"
    if not _fits(value, inner):
        if isinstance(inner, IntType | FloatType) and _kind(value) == "number":
            raise NumberFault(400, f"json: cannot unmarshal number {value!s} {where} {go}")
        raise OllamaFault(400, f"json: cannot unmarshal {_kind(value)} {where} {go}")
    if isinstance(inner, IntType):
        return int(value)
    if isinstance(inner, BytesType):
        return _bytes(value)
    if isinstance(inner, StructType):
        return _fields(value, inner, root, f"{path}.")
    if isinstance(inner, ListType | VarTupleType):
        return [_value(_zero(inner.item_type) if each is None else each, inner.item_type, root, path) for each in value]
    if isinstance(inner, DictType) and isinstance(inner.value_type, StrType):
        return {key: _value("" if each is None else each, inner.value_type, root, path) for key, each in value.items()}
    if (large := next(_large(value), None)) is not None:
        raise NumberFault(400, f"json: cannot unmarshal number {large!s} {where} float64")
    return value


def _large(value: object) -> Iterator[float]:
    """The numbers in it that no float64 holds; however deep it is."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict | list):
            left += each.values() if isinstance(each, dict) else each
        elif isinstance(each, int | float) and not is_number(each) and not isinstance(each, bool):
            yield each


def _bare(wanted: Type) -> Type:
    """Without what is said about it, and without None: a null was taken for absence before."""
    if isinstance(wanted, Metadata):
        return _bare(wanted.type)
    if isinstance(wanted, UnionType):
        return next(each for each in wanted.types if not isinstance(each, NoneType))
    return wanted


def _zero(wanted: Type) -> Any:
    """What null is in a list: the element that nothing was read into."""
    inner = wanted.type if isinstance(wanted, Metadata) else wanted
    zeros: dict[type, Any] = {StrType: "", BytesType: "", IntType: 0, FloatType: 0.0, BoolType: False, ListType: []}
    return zeros.get(type(inner), {})


def _bytes(text: str) -> bytes:
    try:
        return base64.decoded(text)
    except ValueError as error:
        raise OllamaFault(400, str(error)) from error


def is_number(value: object) -> bool:
    """Whether a float64 can hold it, as Go's decoder wants."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _fits(value: Any, wanted: Type) -> bool:
    number = is_number(value)
    match wanted:
        case StrType() | BytesType():
            return isinstance(value, str)
        case BoolType():
            return isinstance(value, bool)
        case IntType():
            return number and value == int(value) and int(value) in INT64
        case FloatType():
            return number
        case ListType() | VarTupleType():
            return isinstance(value, list)
        case DictType() | StructType():
            return isinstance(value, dict)
    return True


def _go_name(wanted: Type) -> str:
    if isinstance(wanted, Metadata):
        return str((wanted.extra or {}).get("go", "")) or _go_name(wanted.type)
    match _bare(wanted):
        case ListType(item_type=item) | VarTupleType(item_type=item):
            return f"[]{_go_name(item)}"
        case DictType(value_type=each):
            return f"map[string]{_go_name(each)}"
        case StructType(cls=cls):
            return f"api.{cls.__name__}"
    return {StrType: "string", BoolType: "bool", IntType: "int", FloatType: "float64"}.get(type(wanted), "interface {}")
