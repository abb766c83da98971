"""How Go writes values: `%v` of numbers and the quoted strings of `%#v`, as Ollama's replies have them. Pure."""

import math
import struct
from decimal import Decimal

EXPONENT_FROM, EXPONENT_BELOW = 6, -4
"""Go's `%v` of a float switches to an exponent from 10^6 on and below 10^-4."""
JSON_EXPONENT_FROM = 1e21
"""Go's JSON writes the digits of a float below it."""
FLOAT64_BEYOND = 2**1023
"""Whole numbers from here on may be no float64."""
_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\", '"': '"'}


def number(value: float) -> str:
    """A float64 as `%v` writes it: 0.7, 4096, 1e+06, 1.048576e+06.

    Whole numbers are no exception: after JSON, Go holds each of them as a float64.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    exact = Decimal(repr(float(value))).normalize()
    exponent = exact.adjusted()
    if EXPONENT_BELOW <= exponent < EXPONENT_FROM:
        return f"{exact:f}"
    mantissa = f"{exact:e}".partition("e")[0]
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def json_number(value: float) -> float:
    """A float of a GGUF file, which has 32 bits unless it needs more, with the fewest digits; a whole one as an int."""
    short = float32(value) if _single(value) == value and math.isfinite(value) and not value.is_integer() else value
    return int(short) if short.is_integer() and abs(short) < JSON_EXPONENT_FROM else short


def quoted(text: str) -> str:
    """The string in Go's double quotes; what cannot be printed is escaped."""
    return f'"{"".join(map(_escaped, text))}"'


def float32(value: float) -> float:
    """The float with the fewest digits that is the same in 32 bits. Raises OverflowError beyond those."""
    single = _single(value)
    if math.isinf(single):
        raise OverflowError(value)
    return next(short for digits in range(1, 10) if _single(short := float(f"{single:.{digits}g}")) == single)


def _single(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.inf


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return "\\" + _ESCAPES[letter]
    if letter.isprintable():
        return letter
    code = ord(letter)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
