"""Template source -> tokens, one at a time: text, delimiters with their trim markers, and what stands in actions."""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from hoshikage.templates.go.quoting import quote, unicode_name

SPACES = " \t\r\n"
SPACE_RUN = re.compile(f"[{SPACES}]*")
NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
QUOTED = {
    '"': re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'),
    "'": re.compile(r"'(?:[^'\\\n]|\\[^\n])*'"),
    "`": re.compile(r"`[^`]*`"),
}
UNTERMINATED = {
    '"': "unterminated quoted string",
    "'": "unterminated character constant",
    "`": "unterminated raw quoted string",
}
KEYWORDS = frozenset("block break continue define else end if range nil template with".split())
Kind = Literal[
    "text", "left", "right", "eof", "error", "name", "keyword", "bool", "field", "dot", "variable",
    "number", "quoted", "character", "pipe", "assign", "declare", "(", ")", "other",
]  # fmt: skip
SIGNS: dict[str, Kind] = {"|": "pipe", "=": "assign", ":=": "declare"}


class Token(Struct, frozen=True):
    """`pos` is its offset in the source, `line` counts from 1; `spaced`: white space stood before it."""

    kind: Kind
    text: str
    pos: int
    line: int
    spaced: bool = False


def is_alphanumeric(character: str) -> bool:
    """What Go counts as part of a name: letters, decimal digits and the underscore."""
    return character == "_" or character.isalpha() or character.isdecimal()


class Lexer:
    """Reads one source; an error is its last token."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._counted, self._line = 0, 1
        self._parens = 0

    def tokens(self) -> Iterator[Token]:
        """All tokens up to `eof` or `error`."""
        source, start = self._source, 0
        while (left := source.find("{{", start)) >= 0:
            trims = source.startswith("-", left + 2) and source[left + 3 : left + 4] in tuple(SPACES)
            text = source[start:left].rstrip(SPACES) if trims else source[start:left]
            if text:
                yield self._token("text", text, start)
            inside = left + 4 if trims else left + 2
            comment = source.startswith("/*", inside)
            end = -1
            for token in self._comment(inside) if comment else self._action(left, inside):
                if not (comment and token.kind == "right"):
                    yield token
                end = token.pos + len(token.text) if token.kind == "right" else -1
            if end < 0:
                return
            start = self._after(end)
        if source[start:]:
            yield self._token("text", source[start:], start)
        yield self._token("eof", "", len(source))

    def _after(self, end: int) -> int:
        trims = self._source.startswith("-}}", end - 3) and self._source[end - 4] in SPACES
        run = SPACE_RUN.match(self._source, end)
        return run.end() if trims and run else end

    def _token(self, kind: Kind, text: str, pos: int, spaced: bool = False) -> Token:
        self._line += self._source.count("\n", self._counted, pos)
        self._counted = max(self._counted, pos)
        return Token(kind, text, pos, self._line, spaced)

    def _comment(self, inside: int) -> Iterator[Token]:
        close = self._source.find("*/", inside + 2)
        if close < 0:
            yield self._token("error", "unclosed comment", inside)
            return
        end = close + 2
        if self._source[end : end + 1] in tuple(SPACES) and self._source.startswith("-}}", end + 1):
            end += 2
        if self._source.startswith("}}", end):
            yield self._token("right", "}}", end)
        else:
            yield self._token("error", "comment ends before closing delimiter", inside)

    def _action(self, left: int, inside: int) -> Iterator[Token]:
        yield self._token("left", "{{", left)
        self._parens = 0
        pos = inside
        while True:
            run = SPACE_RUN.match(self._source, pos)
            start = run.end() if run else pos
            spaced = start > pos
            marker = spaced and self._source.startswith("-}}", start)
            if marker or self._source.startswith("}}", start):
                yield self._closing(start + marker)
                return
            token = self._inner(start, spaced)
            yield token
            if token.kind == "error":
                return
            pos = start + len(token.text)

    def _closing(self, start: int) -> Token:
        if self._parens:
            return self._token("error", "unclosed left paren", start)
        return self._token("right", "}}", start)

    def _inner(self, start: int, spaced: bool) -> Token:
        try:
            kind, end = self._scan(start)
        except ValueError as error:
            return self._token("error", str(error), start, spaced)
        return self._token(kind, self._source[start:end], start, spaced)

    def _scan(self, start: int) -> tuple[Kind, int]:
        """What begins at `start`, and where it ends. Raises ValueError in Go's words."""
        character = self._source[start : start + 1]
        if not character:
            raise ValueError("unclosed action")
        if character in QUOTED:
            return self._quoted(character, start)
        if character in "()":
            return self._paren(character, start)
        if character in ".$":
            return self._named(character, start)
        if character in "+-" or "0" <= character <= "9":
            return "number", self._number(start)
        if is_alphanumeric(character):
            return self._word(start)
        return self._sign(character, start)

    def _sign(self, character: str, start: int) -> tuple[Kind, int]:
        if character == ":":
            if not self._source.startswith(":=", start):
                raise ValueError("expected :=")
            return "declare", start + 2
        if character in SIGNS:
            return SIGNS[character], start + 1
        if character.isascii() and character.isprintable():
            return "other", start + 1
        raise ValueError(f"unrecognized character in action: {unicode_name(character)}")

    def _quoted(self, mark: str, start: int) -> tuple[Kind, int]:
        found = QUOTED[mark].match(self._source, start)
        if not found:
            raise ValueError(UNTERMINATED[mark])
        return ("character" if mark == "'" else "quoted"), found.end()

    def _paren(self, character: str, start: int) -> tuple[Kind, int]:
        self._parens += 1 if character == "(" else -1
        if self._parens < 0:
            raise ValueError("unexpected right paren")
        return ("(" if character == "(" else ")"), start + 1

    def _named(self, character: str, start: int) -> tuple[Kind, int]:
        following = self._source[start + 1 : start + 2]
        if character == "." and following and "0" <= following <= "9":
            return "number", self._number(start)
        end = self._name_end(start + 1)
        if character == "$":
            return "variable", end
        return ("field" if end > start + 1 else "dot"), end

    def _word(self, start: int) -> tuple[Kind, int]:
        end = self._name_end(start)
        word = self._source[start:end]
        if word in KEYWORDS:
            return "keyword", end
        return ("bool" if word in {"true", "false"} else "name"), end

    def _name_end(self, start: int) -> int:
        end = start
        while end < len(self._source) and is_alphanumeric(self._source[end]):
            end += 1
        following = self._source[end : end + 1]
        if following and following not in SPACES + ".,|:()" and not self._source.startswith("}}", end):
            raise ValueError(f"bad character {unicode_name(following)}")
        return end

    def _number(self, start: int) -> int:
        found = NUMBER.match(self._source, start)
        end = found.end() if found else start
        following = self._source[end : end + 1]
        if following and is_alphanumeric(following):
            raise ValueError(f"bad number syntax: {quote(self._source[start : end + 1])}")
        return end
