"""Template source -> nodes. Blocks are read here, expressions in `expressions`; what is not supported is named."""

from collections.abc import Callable

from hoshikage.errors import TemplateFailed
from hoshikage.templates.go.budget import TEMPLATE_BYTES_MAX
from hoshikage.templates.go.expressions import Expressions
from hoshikage.templates.go.lexer import Token
from hoshikage.templates.go.nodes import Action, Arm, Body, Break, Continue, If, Node, Pipeline, Range, Text, With
from hoshikage.templates.go.reader import Reader
from hoshikage.templates.go.values import clean


def parse(source: str, functions: frozenset[str]) -> Body:
    """The nodes of a template that may call `functions`. Raises TemplateFailed with Go's reason and the line."""
    size = len(source.encode(errors="replace"))
    if size > TEMPLATE_BYTES_MAX:
        raise TemplateFailed(reason=f"a template of {size} bytes")
    return _Parser(Reader(clean(source)), functions).template()


class _Parser:
    def __init__(self, reader: Reader, functions: frozenset[str]) -> None:
        self._reader = reader
        self._expressions = Expressions(reader, functions)
        self._ranges = 0
        self._blocks: dict[str, Callable[[], Node]] = {
            "if": lambda: If(*self._arms("if")),
            "with": lambda: With(*self._arms("with")),
            "range": self._range,
            "break": lambda: self._leave("{{break}}", Break()),
            "continue": lambda: self._leave("{{continue}}", Continue()),
        }

    def template(self) -> Body:
        body, closing = self._body()
        if closing:
            self._reader.fail(f"unexpected {closing}")
        return body

    def _body(self) -> tuple[Body, str]:
        """Nodes up to the end of the block, and the action that closed it; "" at the end of the source."""
        nodes: list[Node] = []
        while True:
            token = self._reader.next()
            if token.kind == "eof":
                return tuple(nodes), ""
            if token.kind == "text":
                nodes.append(Text(token.text))
            elif token.kind != "left":
                self._reader.unexpected(token, "input")
            elif closing := self._closing(token):
                return tuple(nodes), closing
            else:
                nodes.append(self._action())

    def _closing(self, left: Token) -> str:
        self._reader.action_line = left.line
        word = self._reader.next()
        if word.kind != "keyword" or word.text not in {"end", "else"}:
            self._reader.back(word)
            return ""
        following = self._reader.peek()
        if word.text == "end" or following.text not in {"if", "with"} or following.kind != "keyword":
            self._reader.expect("right", word.text)
        self._reader.action_line = 0
        return "{{" + word.text + "}}"

    def _action(self) -> Node:
        word = self._reader.next()
        if word.kind != "keyword" or word.text == "nil":
            self._reader.back(word)
            return Action(self._pipeline("command"))
        if word.text not in self._blocks:
            self._reader.fail(f"{{{{{word.text}}}}} is not supported")
        self._reader.deeper()
        node = self._blocks[word.text]()
        self._reader.shallower()
        return node

    def _pipeline(self, context: str) -> Pipeline:
        pipe = self._expressions.pipeline(context)
        self._reader.action_line = 0
        return pipe

    def _arms(self, word: str) -> tuple[tuple[Arm, ...], Body]:
        """`if` or `with` up to its end; `else if` is one more arm instead of a block in a block."""
        scope = len(self._expressions.variables)
        arms: list[Arm] = []
        otherwise: Body = ()
        while True:
            pipe = self._pipeline(word)
            body, closing = self._closed_body()
            arms.append(Arm(pipe, body))
            if closing == "{{end}}":
                break
            following = self._reader.peek()
            if following.kind == "keyword" and following.text == word:
                self._reader.next()
                continue
            otherwise = self._else_body()
            break
        del self._expressions.variables[scope:]
        return tuple(arms), otherwise

    def _range(self) -> Range:
        scope = len(self._expressions.variables)
        pipe = self._pipeline("range")
        self._ranges += 1
        body, closing = self._closed_body()
        self._ranges -= 1
        otherwise = self._else_body() if closing == "{{else}}" else ()
        del self._expressions.variables[scope:]
        return Range(pipe, body, otherwise)

    def _closed_body(self) -> tuple[Body, str]:
        body, closing = self._body()
        if not closing:
            self._reader.fail("unexpected EOF")
        return body, closing

    def _else_body(self) -> Body:
        body, closing = self._closed_body()
        if closing != "{{end}}":
            self._reader.fail(f"expected end; found {closing}")
        return body

    def _leave(self, word: str, node: Break | Continue) -> Node:
        self._reader.expect("right", word)
        if not self._ranges:
            self._reader.fail(f"{word} outside {{{{range}}}}")
        return node
