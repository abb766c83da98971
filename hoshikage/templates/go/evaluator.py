"""The values of a template's pipelines, fields, variables and calls. Blocks are run in `execution`."""

from hoshikage.templates.go.budget import Budget, Failure
from hoshikage.templates.go.functions import CHOICES, FUNCTIONS, check
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
from hoshikage.templates.go.values import Record, plain, truth, type_name

Place = Operand | Command


class _Nothing:
    """No value came from an earlier stage."""


NOTHING = _Nothing()


class Evaluator:
    """Values of pipelines. `variables` are (name, value), innermost last; `place` is what is being evaluated."""

    def __init__(self, data: object, budget: Budget) -> None:
        self.variables: list[tuple[str, object]] = [("$", data)]
        self.place: Place | None = None
        self._budget = budget

    def pipeline(self, dot: object, pipe: Pipeline) -> object:
        """The value, which the declared variables get. Raises Failure."""
        self._at(pipe)
        value: object = NOTHING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for name in pipe.declared:
            if pipe.assigns:
                self.assign(name, value)
            else:
                self.variables.append((name, value))
        return value

    def assign(self, name: str, value: object) -> None:
        """Set the innermost variable of this name. Raises Failure when there is none."""
        for at in range(len(self.variables) - 1, -1, -1):
            if self.variables[at][0] == name:
                self.variables[at] = (name, value)
                return
        raise Failure(f"undefined variable: {name}")

    def _at(self, place: Place) -> None:
        self.place = place
        self._budget.step()

    def _command(self, dot: object, command: Command, piped: object) -> object:
        first = command.args[0]
        if isinstance(first, Function):
            return self._call(dot, first, command, command.args[1:], piped)
        given = len(command.args) > 1 or piped is not NOTHING
        if isinstance(first, Field | Chain) or (isinstance(first, Variable) and first.names):
            return self._fields(dot, first, given)
        self._at(first)
        if given:
            raise Failure(f"can't give argument to non-function {first.text}")
        if isinstance(first, Nil):
            raise Failure("nil is not a command")
        return self._operand(dot, first)

    def _operand(self, dot: object, operand: Operand) -> object:
        self._at(operand)
        match operand:
            case Dot():
                return dot
            case Nil():
                return None
            case Literal():
                return operand.value
            case Function():
                return self._call(dot, operand, operand, (), NOTHING)
            case Pipeline():
                return self.pipeline(dot, operand)
            case Variable(names=()):
                return self._variable(operand.name)
        return self._fields(dot, operand, given=False)

    def _variable(self, name: str) -> object:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise Failure(f"undefined variable: {name}")

    def _fields(self, dot: object, operand: Field | Chain | Variable, given: bool) -> object:
        """The end of a chain of fields; a value that is nothing has only nothing in it, one that is nil fails."""
        self._at(operand)
        value, names = dot, operand.names
        if isinstance(operand, Variable):
            value = self._variable(operand.name)
        elif isinstance(operand, Chain):
            if isinstance(operand.operand, Nil):
                raise Failure(f"indirection through explicit nil in {operand.text}")
            value = self._operand(dot, operand.operand)
        if value is None and not isinstance(operand, Field):
            return None
        for name in names[:-1]:
            value = _field(value, name, given=False)
        return _field(value, names[-1], given)

    def _call(self, dot: object, function: Function, place: Place, args: tuple[Operand, ...], piped: object) -> object:
        self._at(function)
        name = function.text
        check(name, len(args), piped is not NOTHING)
        if name in CHOICES:
            return self._choice(dot, name, args, piped)
        strings = FUNCTIONS[name].strings
        values = [self._argument(dot, arg, at < strings or strings < 0) for at, arg in enumerate(args)]
        if piped is not NOTHING:
            if len(values) < strings or strings < 0:
                _check_string(piped)
            values.append(piped)
        try:
            return FUNCTIONS[name].call(values, self._budget)
        except Failure as failure:
            self.place = place
            raise Failure(f"error calling {name}: {failure}") from failure

    def _argument(self, dot: object, arg: Operand, string: bool) -> object:
        if string and isinstance(arg, Literal) and not isinstance(arg.value, str):
            self._at(arg)
            raise Failure(f"expected string; found {arg.text}")
        if string and isinstance(arg, Nil):
            self._at(arg)
            raise Failure("cannot assign nil to string")
        value = self._operand(dot, arg)
        if string:
            _check_string(value)
        return value

    def _choice(self, dot: object, name: str, args: tuple[Operand, ...], piped: object) -> object:
        """`and` and `or`: the first operand that decides, or the last; what follows is not evaluated."""
        value: object = None
        for arg in args:
            value = self._operand(dot, arg)
            if truth(value) == (name == "or"):
                return value
        return value if piped is NOTHING else piped


def _check_string(value: object) -> None:
    if value is None:
        raise Failure("invalid value; expected string")
    if not isinstance(value, str):
        raise Failure(f"wrong type for value; expected string; got {type_name(value)}")


def _field(value: object, name: str, given: bool) -> object:
    inner = plain(value)
    if inner is None:
        raise Failure(f"nil pointer evaluating interface {{}}.{name}")
    if isinstance(inner, Record) and name in inner.fields:
        if given:
            raise Failure(f"{name} has arguments but cannot be invoked as function")
        return inner.fields[name]
    if isinstance(inner, dict):
        if given:
            raise Failure(f"{name} is not a method but has arguments")
        return inner.get(name)
    raise Failure(f"can't evaluate field {name} in type {type_name(value)}")
