"""Tokens with look-ahead, and the words in which Go tells what is wrong with one."""

from typing import NoReturn

from hoshikage.errors import TemplateFailed
from hoshikage.templates.go.budget import NESTING_MAX
from hoshikage.templates.go.lexer import Kind, Lexer, Token
from hoshikage.templates.go.quoting import quote


class Reader:
    """Hands out the tokens of one source; knows the line of the last one and how deep the reading is."""

    def __init__(self, source: str) -> None:
        self._tokens = Lexer(source).tokens()
        self._waiting: list[Token] = []
        self._line = 1
        self._depth = 0
        self.action_line = 0

    def next(self) -> Token:
        """The next token; after an error or the end, an end again."""
        if self._waiting:
            return self._waiting.pop()
        token = next(self._tokens, None) or Token("eof", "", 0, self._line)
        self._line = token.line
        return token

    def back(self, token: Token) -> None:
        """Make `token` the next one."""
        self._waiting.append(token)

    def peek(self) -> Token:
        """The next token, which stays."""
        token = self.next()
        self.back(token)
        return token

    def expect(self, kind: Kind, context: str) -> Token:
        """The next token, which must be of this kind. Raises TemplateFailed."""
        token = self.next()
        if token.kind != kind:
            self.unexpected(token, context)
        return token

    def unexpected(self, token: Token, context: str) -> NoReturn:
        """Raises TemplateFailed: this token cannot stand in `context`."""
        if token.kind == "error":
            self.fail(token.text + self._started(token))
        self.fail(f"unexpected {shown(token)} in {context}")

    def fail(self, reason: str) -> NoReturn:
        """Raises TemplateFailed with the line."""
        raise TemplateFailed(reason=f"template: :{self._line}: {reason}")

    def deeper(self) -> None:
        """A block or parenthesis opens. Raises TemplateFailed when too many are open."""
        self._depth += 1
        if self._depth > NESTING_MAX:
            self.fail(f"nested deeper than {NESTING_MAX} levels")

    def shallower(self) -> None:
        """It closes."""
        self._depth -= 1

    def _started(self, token: Token) -> str:
        if self.action_line in {0, token.line}:
            return ""
        place = f" started at :{self.action_line}"
        return place if token.text.endswith(" action") else f" in action{place}"


def shown(token: Token) -> str:
    """As Go names a token."""
    if token.kind == "eof":
        return "EOF"
    if token.kind in {"keyword", "dot"}:
        return f"<{token.text}>"
    if len(token.text.encode(errors="replace")) > 10:
        return f"{quote(token.text[:10])}..."
    return quote(token.text)
