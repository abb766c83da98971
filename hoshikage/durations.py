"""Go's durations and Ollama's keep_alive, with Go's error texts. Knows no setting and no route."""

import math
import re

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")
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
    if not rest or at != len(rest):
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total


def keep_alive_seconds(value: object) -> float:
    """Seconds of a keep_alive: a number of seconds or a Go duration; negative is math.inf. Raises ValueError."""
    if isinstance(value, str):
        seconds = parse_duration(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise ValueError(f"Unsupported type: '{_GO_TYPES.get(type(value), type(value).__name__)}'")
    return math.inf if seconds < 0 else seconds


def _unit(name: str, text: str) -> float:
    if not name:
        raise ValueError(f'time: missing unit in duration "{text}"')
    if name not in UNITS:
        raise ValueError(f'time: unknown unit "{name}" in duration "{text}"')
    return UNITS[name]
