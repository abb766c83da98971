"""Sizes, times and tables in Ollama's words. Pure: knows no clock, no language but English, and prints nothing."""

import math
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))
WHOLE_FROM = 10
GAP = "    "
MINUTE, HOUR = 60, 3600
DAY, WEEK, MONTH, YEAR = 24, 24 * 7, 24 * 30, 24 * 365
"""In hours."""
FOREVER_YEARS = 20
NS_PER_S = 1_000_000_000
_WIDE = frozenset("WF")
_NO_WIDTH = frozenset(("Mn", "Me", "Cf"))


def size(count: int) -> str:
    """Bytes in decimal units: `4.7 GB`, `12 MB`. From 10 on whole, as always where there is no fraction."""
    unit, name = next((each for each in UNITS if count >= each[0]), (1, "B"))
    whole = count // unit
    return f"{count / unit:.1f} {name}" if whole < WHOLE_FROM and count % unit else f"{whole} {name}"


def span(seconds: float) -> str:
    """A length of time in about one word: `Less than a second`, `4 minutes`, `About an hour`, `2 weeks`."""
    if seconds < MINUTE:
        return counted(int(seconds), "second") if seconds >= 1 else "Less than a second"
    minutes = int(seconds / MINUTE)
    if minutes < MINUTE:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = math.floor(seconds / HOUR + 0.5)
    if hours < 2 * DAY:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for below, length, name in ((2 * WEEK, DAY, "days"), (2 * MONTH, WEEK, "weeks"), (2 * YEAR, MONTH, "months")):
        if hours < below:
            return f"{hours // length} {name}"
    return f"{hours // YEAR} years"


def counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def moment(at: float | None, now: float, never: str = "") -> str:
    """The time `at` seen from `now`, in seconds: `2 weeks ago`, `4 minutes from now`, `Forever`; None is `never`."""
    if at is None:
        return never
    ahead = at - now
    if ahead <= 0:
        return f"{span(-ahead)} ago"
    if ahead >= (FOREVER_YEARS + 1) * YEAR * HOUR:
        return "Forever"
    return f"{span(ahead)} from now"


def duration(nanoseconds: int) -> str:
    """As Go writes a duration: `1h0m2.5s`, `250ms`, `1.5µs`, `0s`."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < NS_PER_S:
        unit, name = next((each for each in ((10**6, "ms"), (10**3, "µs"), (1, "ns")) if rest >= each[0]), (1, "s"))
        return f"{sign}{decimal(rest, unit)}{name}"
    minutes, rest = divmod(rest, MINUTE * NS_PER_S)
    hours, minutes = divmod(minutes, MINUTE)
    leading = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{leading}{decimal(rest, NS_PER_S)}s"


def decimal(count: int, unit: int) -> str:
    """`count / unit` with every digit and no zeros at the end; `unit` is a power of ten."""
    whole, part = divmod(count, unit)
    digits = str(unit + part)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns to the left, four spaces between them, each cell padded to its column; a line ends each row."""
    lines = [heading, *rows]
    columns = [max(map(width, column)) for column in zip_longest(*lines, fillvalue="")]
    padded = ([cell + " " * (most - width(cell)) for cell, most in zip(line, columns, strict=False)] for line in lines)
    return "".join(f"{GAP.join(line)}\n" for line in padded)


def width(text: str) -> int:
    """Columns on a terminal: two for wide letters, none for combining marks."""
    return sum(letter_width(letter) for letter in text)


def letter_width(letter: str) -> int:
    if unicodedata.east_asian_width(letter) in _WIDE:
        return 2
    return 0 if unicodedata.category(letter) in _NO_WIDTH else 1


def printable(text: str) -> str:
    """The text with escapes for what moves a cursor or is not seen; line ends too."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
