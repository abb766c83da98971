"""The values of number and character literals, by Go's rules for untyped constants."""

import re

from hoshikage.templates.go.quoting import quote, unquote

UNDERSCORES = re.compile(r"[+-]?(0[xXoObB]_?)?[0-9a-fA-F]+(_[0-9a-fA-F]+)*")
HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+")
FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1


def number(source: str) -> int | float:
    """The int or float64 of a number literal. Raises ValueError in Go's words."""
    if source.endswith("i"):
        raise ValueError(f"complex number {source} is not supported")
    if source in {"+", "-"}:
        raise ValueError(f"illegal number syntax: {quote(source)}")
    value = _integer(source)
    if value is not None and INT_MIN <= value <= INT_MAX:
        return value
    fraction = _float(source)
    if fraction is None:
        raise ValueError(f"bad number syntax: {quote(source)}")
    if not set(source) & set(".eEpP"):
        raise ValueError(f"integer overflow: {quote(source)}")
    return fraction


def character(source: str) -> int:
    """The code of a character literal such as 'a'. Raises ValueError in Go's words."""
    try:
        text = unquote(source)
    except ValueError:
        text = ""
    data = text.encode(errors="surrogateescape")
    if len(text) == 1 and source[1:-1] != "'":
        return data[0] if len(data) == 1 else ord(text)
    raise ValueError(f"malformed character constant: {source}")


def _integer(source: str) -> int | None:
    if not UNDERSCORES.fullmatch(source):
        return None
    plain = source.replace("_", "")
    digits = plain.lstrip("+-")
    try:
        if re.fullmatch(r"0[0-9]+", digits):
            return int(plain, 8)
        return int(plain, 0)
    except ValueError:
        return None


def _float(source: str) -> float | None:
    plain = source.replace("_", "")
    try:
        if HEX_FLOAT.fullmatch(plain):
            return float.fromhex(plain)
        if not FLOAT.fullmatch(plain):
            return None
        value = float(plain)
    except (ValueError, OverflowError):
        return None
    return None if value in {float("inf"), float("-inf")} else value
