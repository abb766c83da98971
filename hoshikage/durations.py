"""Go's durations and Ollama's keep_alive, with Go's error texts. Knows no setting and no route."""

import math
import re

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST = (2**63 - 1) / 1e9
"""Go counts nanoseconds in an int64: 292 years."""
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_GO_TYPES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def parse_duration(text: str) -> float:
    """Seconds of a Go duration such as "1h30m"; a bare "0" is allowed. Raises ValueError with Go's text."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, at = 0.0, 0
    for match in _PART.finditer(rest):
        if match.start() != at:
            break
        total += float(match[1]) * _unit(match[2], text)
        at = match.end()
    if not rest or at != len(rest) or total > LONGEST:
        raise ValueError(f"time: invalid duration {_quoted(text)}")
    return sign * total


def keep_alive_seconds(value: object) -> float:
    """Seconds of a keep_alive: a number of seconds or a Go duration. Raises ValueError.

    Negative is math.inf, and so is more than Go can count.
    """
    if isinstance(value, str):
        value = parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"Unsupported type: '{_GO_TYPES.get(type(value), type(value).__name__)}'")
    return float(value) if 0 <= value <= LONGEST else math.inf


def _unit(name: str, text: str) -> float:
    if not name:
        raise ValueError(f"time: missing unit in duration {_quoted(text)}")
    if name not in UNITS:
        raise ValueError(f"time: unknown unit {_quoted(name)} in duration {_quoted(text)}")
    return UNITS[name]


def _quoted(text: str) -> str:
    """As Go's package time quotes: every byte that is not printable ASCII as \\xNN."""
    shown = (
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}"
        for byte in text.encode("utf-8", "surrogatepass")
    )
    return f'"{"".join(shown)}"'
