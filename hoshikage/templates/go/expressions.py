"""Reads what stands inside actions: pipelines, commands and operands. Knows the variables in scope, no blocks."""

from hoshikage.templates.go import literals
from hoshikage.templates.go.lexer import Kind, Token
from hoshikage.templates.go.nodes import (
    Chain,
    Command,
    Dot,
    Field,
    Function,
    Literal,
    Nil,
    Operand,
    Pipeline,
    Variable,
)
from hoshikage.templates.go.quoting import quote, unquote
from hoshikage.templates.go.reader import Reader

STARTS = frozenset({"bool", "character", "dot", "field", "name", "number", "quoted", "variable", "("})
INERT = (Literal, Dot, Nil)
"""What cannot take the value of the stage before it."""


class Expressions:
    """Reads pipelines from `reader`. All methods raise TemplateFailed."""

    def __init__(self, reader: Reader, functions: frozenset[str]) -> None:
        self._reader = reader
        self._functions = functions
        self.variables = ["$"]

    def pipeline(self, context: str, end: Kind = "right") -> Pipeline:
        """`$x := command | command` up to `end`; `context` is what errors call it."""
        start = self._reader.peek()
        declared, assigns = self._declarations(context)
        commands: list[Command] = []
        while (token := self._reader.next()).kind != end:
            if token.kind not in STARTS and token.text != "nil":
                self._reader.unexpected(token, context)
            self._reader.back(token)
            commands.append(self._command())
        self._check(commands, context)
        sign = " = " if assigns else " := "
        text = (", ".join(declared) + sign if declared else "") + " | ".join(command.text for command in commands)
        return Pipeline(start.pos, text, declared, assigns, tuple(commands))

    def _declarations(self, context: str) -> tuple[tuple[str, ...], bool]:
        names: list[str] = []
        while (variable := self._reader.next()).kind == "variable":
            sign = self._reader.next()
            if sign.kind in {"assign", "declare"}:
                names.append(self._declare(variable))
                return tuple(names), sign.kind == "assign"
            if sign.text != ",":
                self._reader.back(sign)
                break
            names.append(self._declare(variable))
            self._check_comma(context, len(names))
        self._reader.back(variable)
        return tuple(names), False

    def _declare(self, variable: Token) -> str:
        self.variables.append(variable.text)
        return variable.text

    def _check_comma(self, context: str, count: int) -> None:
        if context != "range" or count > 1:
            self._reader.fail(f"too many declarations in {context}")
        if self._reader.peek().kind not in {"variable", "right", ")"}:
            self._reader.fail("range can only initialize variables")

    def _check(self, commands: list[Command], context: str) -> None:
        if not commands:
            self._reader.fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], start=2):
            if isinstance(command.args[0], INERT):
                self._reader.fail(f"non executable command in pipeline stage {stage}")

    def _command(self) -> Command:
        start = self._reader.peek()
        args: list[Operand] = []
        while True:
            operand = self._operand()
            if operand is not None:
                args.append(operand)
            token = self._reader.next()
            if token.kind == "pipe":
                break
            self._reader.back(token)
            if token.kind in {"right", ")"}:
                break
            if not token.spaced or operand is None:
                self._reader.unexpected(self._reader.next(), "operand")
        if not args:
            self._reader.fail("empty command")
        return Command(start.pos, " ".join(_argument_text(arg) for arg in args), tuple(args))

    def _operand(self) -> Operand | None:
        term = self._term()
        if term is None or not self._chained():
            return term
        first, names = self._reader.peek(), []
        while self._chained():
            names.append(self._reader.next().text[1:])
        suffix = "".join(f".{name}" for name in names)
        if isinstance(term, Field):
            return Field(first.pos, term.text + suffix, (*term.names, *names))
        if isinstance(term, Variable):
            return Variable(first.pos, term.text + suffix, term.name, tuple(names))
        if isinstance(term, INERT):
            self._reader.fail(f"unexpected . after term {quote(term.text)}")
        return Chain(first.pos, _argument_text(term) + suffix, term, tuple(names))

    def _chained(self) -> bool:
        token = self._reader.peek()
        return token.kind == "field" and not token.spaced

    def _term(self) -> Operand | None:
        token = self._reader.next()
        match token.kind:
            case "name":
                return self._function(token)
            case "variable":
                return self._variable(token)
            case "field":
                return Field(token.pos, token.text, (token.text[1:],))
            case "dot":
                return Dot(token.pos)
            case "(":
                return self._parenthesis()
        if token.text == "nil":
            return Nil(token.pos)
        if token.kind in {"bool", "number", "character", "quoted"}:
            return Literal(token.pos, token.text, self._value(token))
        self._reader.back(token)
        return None

    def _function(self, token: Token) -> Function:
        if token.text not in self._functions:
            self._reader.fail(f"function {quote(token.text)} not defined")
        return Function(token.pos, token.text)

    def _variable(self, token: Token) -> Variable:
        if token.text not in self.variables:
            self._reader.fail(f"undefined variable {quote(token.text)}")
        return Variable(token.pos, token.text, token.text)

    def _parenthesis(self) -> Pipeline:
        self._reader.deeper()
        pipe = self.pipeline("parenthesized pipeline", ")")
        self._reader.shallower()
        return pipe

    def _value(self, token: Token) -> str | int | float | bool:
        try:
            match token.kind:
                case "bool":
                    return token.text == "true"
                case "number":
                    return literals.number(token.text)
                case "character":
                    return literals.character(token.text)
            return unquote(token.text)
        except ValueError as error:
            self._reader.fail(str(error))


def _argument_text(operand: Operand) -> str:
    return f"({operand.text})" if isinstance(operand, Pipeline) else operand.text
