"""Request bodies as Go's encoding/json reads them, with its error texts word for word (contract §2).

Keys fold case, null is absence, what follows the first value is ignored, 40.0 is an integer. Knows no route.
"""

import asyncio
import json
import math
from typing import Any, NoReturn, TypeVar

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

INT64 = 1 << 63
LARGE_BYTES = 1 << 18
"""Decoding this takes long enough for others to notice."""

KINDS: tuple[tuple[type, str], ...] = ((bool, "bool"), (dict, "object"), (list, "array"), (str, "string"))


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
    info = type_info(shape)
    assert isinstance(info, StructType)  # noqa: S101
    value = _parsed(text, start)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise OllamaFault(400, f"json: cannot unmarshal {_kind(value)} into Go value of type api.{shape.__name__}")
    return msgspec.convert(_fields(value, info, shape.__name__, ""), shape)


def _parsed(text: str, start: int) -> Any:
    try:
        value, _end = json.JSONDecoder(parse_constant=_no_constant).raw_decode(text, start)
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
    if not _fits(value, inner):
        shown = f"number {value}" if is_number(value) and isinstance(inner, IntType) else _kind(value)
        raise OllamaFault(400, f"json: cannot unmarshal {shown} into Go struct field {root}.{path} of type {go}")
    if isinstance(inner, IntType):
        return int(value)
    if isinstance(inner, BytesType):
        return _bytes(value)
    if isinstance(inner, StructType):
        return _fields(value, inner, root, f"{path}.")
    if isinstance(inner, ListType | VarTupleType):
        return [_value(_zero(inner.item_type) if each is None else each, inner.item_type, root, path) for each in value]
    return value


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
            return number and value == int(value) and -INT64 <= value < INT64
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
        case StructType(cls=cls):
            return f"api.{cls.__name__}"
    return {StrType: "string", BoolType: "bool", IntType: "int", FloatType: "float64"}.get(type(wanted), "interface {}")
