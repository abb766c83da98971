"""Base64 as Go reads it: the standard alphabet, padded, line ends anywhere; its error names the byte."""

import binascii
import re

_STRAY = re.compile(r"[^A-Za-z0-9+/\r\n]")
_NEXT = re.compile(r"[^\r\n]|\Z")


def decoded(text: str) -> bytes:
    """The bytes. Raises ValueError with Go's text."""
    try:
        return binascii.a2b_base64(text.replace("\r", "").replace("\n", ""), strict_mode=True)
    except ValueError:
        raise ValueError(f"illegal base64 data at input byte {fault(text)}") from None


def fault(text: str) -> int:
    """Where Go stops in the text, which is not base64. A character before that place is a byte."""
    found = _STRAY.search(text)
    at = found.start() if found else len(text)
    quantum = (at - text.count("\r", 0, at) - text.count("\n", 0, at)) % 4
    if found is None:
        return at - quantum
    if text[at] != "=" or quantum < 2:
        return at
    following = _next(text, at)
    if quantum == 3 or following == len(text):
        return following
    return _next(text, following) if text[following] == "=" else following - 1


def _next(text: str, at: int) -> int:
    """The place of the next character that is no line end."""
    found = _NEXT.search(text, at + 1)
    assert found is not None  # noqa: S101  the end matches
    return found.start()
