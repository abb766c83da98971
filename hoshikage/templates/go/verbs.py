"""One value -> text by one printf verb with its flags, as Go's fmt does for the values of templates."""

from msgspec import Struct

from hoshikage.templates.go import floats
from hoshikage.templates.go.printing import own_text, shown
from hoshikage.templates.go.quoting import quote, unicode_name
from hoshikage.templates.go.values import Named, Record, data, type_name


class Verb(Struct, frozen=True):
    """`%+08.3f`: flags "+0", width 8, precision 3, letter "f"."""

    letter: str
    flags: str = ""
    width: int | None = None
    precision: int | None = None


def formatted(verb: Verb, value: object) -> str:
    """The value by this verb; where Go has none for its type, Go's note: `%!d(string=hi)`."""
    if verb.letter == "T":
        return _padded(verb, type_name(value))
    own = own_text(value)
    if own is not None and verb.letter in "vsxXq" and "#" not in verb.flags:
        return formatted(verb, own)
    if isinstance(value, Named):
        return formatted(verb, value.value)
    if isinstance(value, list):
        return "[" + " ".join([formatted(verb, item) for item in value]) + "]"
    if isinstance(value, dict):
        return (
            "map[" + " ".join([f"{formatted(verb, key)}:{formatted(verb, value[key])}" for key in sorted(value)]) + "]"
        )
    if isinstance(value, Record):
        names = "+" in verb.flags and verb.letter == "v"
        items = value.fields.items()
        return "{" + " ".join([(f"{name}:" if names else "") + formatted(verb, item) for name, item in items]) + "}"
    scalar = _scalar(verb, value)
    return scalar if scalar is not None else _note(verb, value)


def _note(verb: Verb, value: object) -> str:
    if value is None:
        return _padded(verb, "<nil>") if verb.letter == "v" else f"%!{verb.letter}(<nil>)"
    return f"%!{verb.letter}({type_name(value)}={shown(value)})"


def _scalar(verb: Verb, value: object) -> str | None:
    if isinstance(value, bool):
        return _padded(verb, shown(value)) if verb.letter in "tv" else None
    if isinstance(value, int):
        return _integer(verb, value)
    if isinstance(value, float):
        return _float(verb, value)
    return _string(verb, value) if isinstance(value, str) else None


def _padded(verb: Verb, content: str) -> str:
    width = verb.width or 0
    return content.ljust(width) if "-" in verb.flags else content.rjust(width)


def _padded_number(verb: Verb, sign: str, digits: str) -> str:
    if "0" in verb.flags and "-" not in verb.flags:
        return sign + digits.rjust((verb.width or 0) - len(sign), "0")
    return _padded(verb, sign + digits)


def _sign(verb: Verb, negative: bool) -> str:
    return "-" if negative else "+" if "+" in verb.flags else " " if " " in verb.flags else ""


def _string(verb: Verb, value: str) -> str | None:
    cut = value if verb.precision is None else value[: verb.precision]
    match verb.letter:
        case "v" if "#" in verb.flags:
            return _padded(verb, quote(cut))
        case "v" | "s":
            return _padded(verb, cut)
        case "q" if "#" in verb.flags and "`" not in cut and cut.isprintable():
            return _padded(verb, f"`{cut}`")
        case "q":
            return _padded(verb, quote(cut, ascii_only="+" in verb.flags))
        case "x" | "X":
            digits = _hex_bytes(verb, data(value)[: verb.precision])
            return _padded(verb, digits.upper() if verb.letter == "X" else digits)
    return None


def _hex_bytes(verb: Verb, content: bytes) -> str:
    prefix = "0x" if "#" in verb.flags and content else ""
    return prefix + (content.hex(" ").replace(" ", " " + prefix) if " " in verb.flags else content.hex())


def _integer(verb: Verb, value: int) -> str | None:
    match verb.letter:
        case "c" | "q" | "U":
            return _character(verb, value)
        case "v":
            return _digits(verb, value, "d")
        case "d" | "b" | "o" | "x" | "X":
            return _digits(verb, value, verb.letter)
        case "O":
            return _digits(verb, value, "o", prefix="0o")
    return None


def _digits(verb: Verb, value: int, base: str, prefix: str = "") -> str:
    digits = format(abs(value), base).rjust(verb.precision or 0, "0")
    if "#" in verb.flags and not prefix:
        prefix = {"x": "0x", "X": "0X", "b": "0b", "o": "0"}.get(base, "")
    sign = _sign(verb, value < 0) + prefix
    return _padded(verb, sign + digits) if verb.precision is not None else _padded_number(verb, sign, digits)


def _character(verb: Verb, value: int) -> str:
    character = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value <= 0xDFFF else "\ufffd"
    if verb.letter == "c":
        return _padded(verb, character)
    if verb.letter == "q":
        return _padded(verb, quote(character, "'", ascii_only="+" in verb.flags))
    return _padded(verb, unicode_name(character) if "#" in verb.flags else f"U+{value:04X}")


def _float(verb: Verb, value: float) -> str | None:
    if verb.letter not in "vgGeEfFxX":
        return None
    sign = _sign(verb, value < 0 or str(value) == "-0.0")
    content = _magnitude(verb, abs(value))
    finite = content[0].isdigit()
    return (
        _padded_number(verb, sign, content) if finite else _padded(verb, (sign or "+" * (content == "Inf")) + content)
    )


def _magnitude(verb: Verb, value: float) -> str:
    letter = "g" if verb.letter == "v" else verb.letter.replace("F", "f")
    if value != value or value == float("inf"):
        return "NaN" if value != value else "Inf"
    if letter in "xX":
        digits = floats.hexadecimal(value)
        return digits.upper() if letter == "X" else digits
    if letter in "gG" and verb.precision is None:
        digits = floats.general(value)
        return digits.upper() if letter == "G" else digits
    return format(value, f".{6 if verb.precision is None else verb.precision}{letter}")
