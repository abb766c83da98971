"""The values that templates see: nil, bool, int, float64, string, slice and map are Python's, structs are Records.

Strings are bytes in Go: here bytes that are no UTF-8 stand as surrogate escapes. Knows no template.
"""

from msgspec import Struct


class Record(Struct, frozen=True, eq=False):
    """A Go struct: its type, its fields by Go's names, and the JSON that it marshals to.

    `shows_json`: it has a String method, which gives that JSON.
    """

    type: str
    fields: dict[str, object]
    json: object
    shows_json: bool = False


class Named(Struct, frozen=True, eq=False):
    """A Go slice or map type with a String method: `text`, or its JSON where `text` is None."""

    type: str
    value: list[object] | dict[str, object]
    json: object
    text: str | None = None


TYPES: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "float64",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    type(None): "<nil>",
}


def type_name(value: object) -> str:
    """Go's name of the value's type."""
    if isinstance(value, Record | Named):
        return value.type
    return TYPES.get(type(value), type(value).__name__)


def plain(value: object) -> object:
    """The slice or map inside a Named; any other value itself."""
    return value.value if isinstance(value, Named) else value


def truth(value: object) -> bool:
    """Go's truth: not the zero value of its type; a struct is always true."""
    return isinstance(value, Record) or bool(plain(value))


def data(text: str) -> bytes:
    """The bytes of a string."""
    return text.encode(errors="surrogateescape")


def text(data: bytes) -> str:
    """The string of these bytes."""
    return data.decode(errors="surrogateescape")


def clean(text: str) -> str:
    """`text` without lone surrogates: each is U+FFFD, as in Go's JSON."""
    if text.isascii():
        return text
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


def well_formed(text: str) -> str:
    """Pieces joined: halves of a character that met are one again, stray bytes become U+FFFD."""
    return text if text.isascii() else data(text).decode(errors="replace")
