"""What is wrong with a text that is no JSON, in the words of Go's encoding/json (contract §2). Knows no request."""

import json
import re

BLANK = " \t\r\n"
VALUE = "looking for beginning of value"
KEY = "looking for beginning of object key string"
PLACES = (
    ("Expecting property name", KEY),
    ("Illegal trailing comma before end of object", KEY),
    ("Expecting ':'", "after object key"),
)
NO_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"|[^"\[\]{}]++', re.DOTALL)
LITERALS = ("true", "false", "null")
HEX = re.compile(r"\\u[0-9a-fA-F]{0,3}(?![0-9a-fA-F])")
NUMBER_PARTS = (
    (re.compile(r"\.(?!\d)"), "after decimal point"),
    (re.compile(r"(?:\.\d+)?[eE][+-]?"), "in exponent of"),
)


def reason(text: str, message: str, at: int) -> str:
    """Go's text for what Python's json says of the place `at`."""
    if message.startswith("Unterminated string"):
        return "unexpected EOF"
    if (inside := _in_string(text, message, at)) is not None:
        return _at(text, *inside)
    if message.startswith("Illegal trailing comma"):
        at += 1
    while at < len(text) and text[at] in BLANK:
        at += 1
    return _at(text, *_outside(text, message, at))


def _in_string(text: str, message: str, at: int) -> tuple[int, str] | None:
    if message.startswith("Invalid control character"):
        return at, "in string literal"
    if message.startswith("Invalid \\uXXXX"):
        start = text.rfind("\\u", 0, at + 1)
        found = HEX.match(text, start)
        return (found.end() if found else at), "in \\u hexadecimal character escape"
    if message.startswith("Invalid \\escape"):
        return text.index("\\", at) + 1, "in string escape code"
    return None


def _outside(text: str, message: str, at: int) -> tuple[int, str]:
    """Where Go finds the mistake, and what it calls it."""
    if message.startswith("Expecting ','"):
        return _in_number(text, at) or (at, _after(text[:at]))
    if message.startswith("Expecting value"):
        return _in_literal(text, at) or (at, VALUE)
    return at, next((go for python, go in PLACES if message.startswith(python)), VALUE)


def _in_number(text: str, at: int) -> tuple[int, str] | None:
    """A fraction or an exponent without digits, before which Python takes the number to be over."""
    if not text[at - 1 : at].isdigit():
        return None
    for part, where in NUMBER_PARTS:
        if found := part.match(text, at):
            return found.end(), f"{where} numeric literal" if where.endswith("of") else f"{where} in numeric literal"
    return None


def _in_literal(text: str, at: int) -> tuple[int, str] | None:
    """A minus without digits, or a word that begins as one that is known."""
    if text[at : at + 1] == "-":
        return at + 1, "in numeric literal"
    for word in LITERALS:
        if text[at : at + 1] == word[0]:
            same = next(i for i in range(len(word)) if text[at + i : at + i + 1] != word[i])
            return at + same, f"in literal {word} (expecting {quoted(word[same])})"
    return None


def _after(before: str) -> str:
    """What has just ended: an element of the innermost list or a member of the innermost object."""
    opened: list[str] = []
    for character in NO_BRACKETS.sub("", before):
        if character in "[{":
            opened.append(character)
        elif character in "]}" and opened:
            opened.pop()
    return "after array element" if opened[-1:] == ["["] else "after object key:value pair"


def _at(text: str, at: int, where: str) -> str:
    return f"invalid character {quoted(text[at])} {where}" if at < len(text) else "unexpected EOF"


def quoted(character: str) -> str:
    """One character as Go quotes it, which sees the first byte of it only."""
    shown = chr(character.encode("utf-8", "surrogatepass")[0])
    if shown == "'":
        return "'\\''"
    if shown == '"':
        return "'\"'"
    if shown < " " or shown == "\x7f":
        short = json.dumps(shown)[1:-1]
        return f"'{short}'" if len(short) == 2 else f"'\\x{ord(shown):02x}'"
    return (
        f"'{shown}'"
        if shown.isprintable() and shown != "\\"
        else ("'\\\\'" if shown == "\\" else f"'\\u{ord(shown):04x}'")
    )
