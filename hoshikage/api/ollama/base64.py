"""Base64 as Go reads it: the standard alphabet, padded, line ends anywhere; its error names the byte."""

import binascii
import re

_LINES = re.compile(r"[\r\n]")
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def decoded(text: str) -> bytes:
    """The bytes. Raises ValueError with Go's text."""
    try:
        return binascii.a2b_base64(_LINES.sub("", text), strict_mode=True)
    except ValueError:
        raise ValueError(f"illegal base64 data at input byte {fault(text)}") from None


def fault(text: str) -> int:
    """Where Go stops, in bytes of the text, which is not base64."""
    taken = [at for at, character in enumerate(text) if character not in "\r\n"]
    index = next((i for i, at in enumerate(taken) if text[at] not in _ALPHABET), len(taken))
    quantum = index % 4
    if index == len(taken):
        return _bytes(text, len(text)) - quantum
    at = taken[index]
    if text[at] != "=" or quantum < 2:
        return _bytes(text, at)
    if quantum == 3:
        return _bytes(text, taken[index + 1])
    if index + 1 == len(taken):
        return _bytes(text, len(text))
    if text[taken[index + 1]] != "=":
        return _bytes(text, taken[index + 1] - 1)
    return _bytes(text, taken[index + 2])


def _bytes(text: str, at: int) -> int:
    return len(text[:at].encode())
