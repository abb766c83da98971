"""Runs the blocks of a parsed template and collects its text. Expressions are the evaluator's."""

from collections.abc import Iterator

from hoshikage.errors import TemplateFailed
from hoshikage.templates.go.budget import Budget, Failure
from hoshikage.templates.go.evaluator import Evaluator
from hoshikage.templates.go.nodes import Action, Body, Break, Continue, If, Node, Range, Text, With
from hoshikage.templates.go.printing import shown
from hoshikage.templates.go.values import Named, plain, truth, type_name, well_formed

Leave = Break | Continue | None
"""How a body ended: a `break` or `continue` that its range has yet to obey, or at its end."""


def execute(body: Body, source: str, data: object, budget: Budget) -> str:
    """The text that the template makes of `data` within `budget`. Raises TemplateFailed with reason and place."""
    evaluator = Evaluator(data, budget)
    execution = _Execution(evaluator, budget)
    try:
        execution.body(data, body)
    except Failure as failure:
        raise TemplateFailed(reason=_located(evaluator, source, str(failure))) from failure
    except RecursionError as error:
        raise TemplateFailed(reason=_located(evaluator, source, "the data is nested too deep")) from error
    return well_formed("".join(execution.parts))


def _located(evaluator: Evaluator, source: str, reason: str) -> str:
    place = evaluator.place
    if place is None:
        return f"template: {reason}"
    before = source[: place.pos]
    line = before.count("\n") + 1
    column = len(before[before.rfind("\n") + 1 :].encode(errors="replace"))
    return f'template: :{line}:{column}: executing "" at <{place.text}>: {reason}'


class _Execution:
    def __init__(self, evaluator: Evaluator, budget: Budget) -> None:
        self.parts: list[str] = []
        self._evaluator = evaluator
        self._budget = budget

    def body(self, dot: object, nodes: Body) -> Leave:
        for node in nodes:
            self._budget.step()
            leave = self._node(dot, node)
            if leave is not None:
                return leave
        return None

    def _node(self, dot: object, node: Node) -> Leave:
        match node:
            case Text():
                self._write(node.text)
            case Action():
                value = self._evaluator.pipeline(dot, node.pipe)
                if not node.pipe.declared:
                    self._write("<no value>" if value is None else shown(value))
            case If() | With():
                return self._arms(dot, node)
            case Range():
                self._range(dot, node)
            case Break() | Continue():
                return node
        return None

    def _write(self, text: str) -> None:
        self._budget.made(len(text))
        self.parts.append(text)

    def _arms(self, dot: object, node: If | With) -> Leave:
        scope = len(self._evaluator.variables)
        leave = self._first_true(dot, node)
        del self._evaluator.variables[scope:]
        return leave

    def _first_true(self, dot: object, node: If | With) -> Leave:
        for arm in node.arms:
            value = self._evaluator.pipeline(dot, arm.pipe)
            if truth(value):
                return self.body(value if isinstance(node, With) else dot, arm.body)
        return self.body(dot, node.otherwise)

    def _range(self, dot: object, node: Range) -> None:
        scope = len(self._evaluator.variables)
        value = self._evaluator.pipeline(dot, node.pipe)
        if len(node.pipe.declared) > 1 and isinstance(value, int) and not isinstance(value, bool):
            raise Failure(f"can't use {value} to iterate over more than one variable")
        inside = len(self._evaluator.variables)
        none = True
        for index, item in self._items(value):
            none = False
            self._budget.step()
            self._bind(node, index, item)
            leave = self.body(item, node.body)
            del self._evaluator.variables[inside:]
            if isinstance(leave, Break):
                break
        if none:
            self.body(dot, node.otherwise)
        del self._evaluator.variables[scope:]

    def _items(self, value: object) -> Iterator[tuple[object, object]]:
        inner = plain(value)
        if isinstance(inner, list):
            yield from enumerate(inner)
        elif isinstance(inner, dict):
            self._budget.step(len(inner))
            yield from sorted(inner.items())
        elif isinstance(inner, int) and not isinstance(inner, bool):
            yield from ((number, number) for number in range(inner))
        elif inner is not None:
            shape = shown(value) if not isinstance(value, Named) else type_name(value)
            raise Failure(f"range can't iterate over {shape}")

    def _bind(self, node: Range, index: object, item: object) -> None:
        values = (item,) if len(node.pipe.declared) == 1 else (index, item)
        for name, value in zip(node.pipe.declared, values, strict=False):
            self._evaluator.assign(name, value)
