"""Jinja in which a hostile template fails instead of hanging the server or filling its memory. Knows no message.

Jinja's own sandbox keeps templates from attributes; it bounds neither loops nor texts. Here every turn of a loop or
macro is counted, and what can make a long text from short ones is paid for before it is made.
"""

import functools
import re
import time
from collections.abc import Callable, Sequence, Sized
from contextvars import ContextVar

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

STEPS_MAX = 1_000_000
"""Turns of loops and macros; 10,000 messages with a hundred turns each."""
SECONDS_MAX = 5.0
CHARACTERS_MAX = 1 << 28
"""Of all texts, list items and digits that operators, filters and methods make."""
BITS_PER_CHARACTER = 3
GROWING = frozenset("center expandtabs indent join ljust replace rjust zfill batch slice wordwrap".split())
"""Filters and methods whose result may be as long as the product of what they are given."""
WIDTH_MAX = 1_000_000
_WIDE = re.compile(r"\d{7}|%[^a-zA-Z%]*\*")


class Bounds:
    """Counts down while one template runs."""

    def __init__(self) -> None:
        self._steps, self._characters = STEPS_MAX, CHARACTERS_MAX
        self._end = time.monotonic() + SECONDS_MAX

    def step(self) -> None:
        """Raises SecurityError when the template has had its share."""
        self._steps -= 1
        if self._steps < 0:
            raise SecurityError(f"the template took more than {STEPS_MAX} steps")
        if time.monotonic() > self._end:
            raise SecurityError(f"the template took more than {SECONDS_MAX:g} s")

    def made(self, characters: int) -> None:
        """Raises SecurityError when there were too many."""
        self._characters -= characters
        if self._characters < 0:
            raise SecurityError(f"the template made more than {CHARACTERS_MAX} characters")


BOUNDS: ContextVar[Bounds] = ContextVar("BOUNDS")
"""Those of the template that runs; to be set for each."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Set BOUNDS before a template of it runs. What is refused raises SecurityError."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols], optimized=False)
        del self.globals["lipsum"]
        for name in GROWING & self.filters.keys():
            self.filters[name] = _paid(name, self.filters[name])
        self.filters["format"] = _narrow(self.filters["format"])

    def step(self) -> str:
        BOUNDS.get().step()
        return ""

    def concat_texts(self, *values: object) -> str:
        texts = [str(value) for value in values]
        BOUNDS.get().made(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        if operator == "%" and isinstance(left, str):
            _check_format(left, right)
        BOUNDS.get().made(_product(operator, left, right))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: object, *args: object, **kwargs: object) -> object:
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str) and name in GROWING:
            BOUNDS.get().made(_grown(name, (owner, *args, *kwargs.values())))
        elif isinstance(owner, str) and name in {"format", "format_map"}:
            _check_format(owner, (*args, *kwargs.values()))
        return super().call(__context, __obj, *args, **kwargs)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Bounding().visit(super()._parse(source, name, filename))
        return tree


class _Bounding(NodeTransformer):
    """Puts a step in front of every body that may run many times, and pays for `~`."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        return self._stepping(node)

    visit_Macro = visit_CallBlock = visit_For

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("concat_texts", node.nodes, node.lineno)

    def _stepping(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("step", [], node.lineno), lineno=node.lineno))
        stepped: nodes.Node = node
        return stepped


def _call(name: str, given: Sequence[nodes.Expr], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), list(given), [], None, None, lineno=line)


def _product(operator: str, left: object, right: object) -> int:
    """About how many characters the result has."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 1) if operator == "**" else left.bit_length() + right.bit_length()
        return bits // BITS_PER_CHARACTER
    if operator == "*":
        return _length(left) * _length(right)
    return _length(left) + _length(right) if isinstance(left, Sized) else 0


def _length(value: object) -> int:
    if isinstance(value, int):
        return max(value, 0)
    return len(value) if isinstance(value, Sized) else 1


def _grown(name: str, given: Sequence[object]) -> int:
    """At most so many characters; of `replace` only what is put in counts."""
    factors = [given[0], *given[2:3]] if name == "replace" else given
    first, *others = map(_length, factors)
    return max(first, 1) * max([1, *others])


def _paid(name: str, plain: Callable[..., object]) -> Callable[..., object]:
    """A filter that is paid for; the first of its arguments may be Jinja's own."""
    own = hasattr(plain, "jinja_pass_arg")

    @functools.wraps(plain)
    def paid(*args: object, **kwargs: object) -> object:
        BOUNDS.get().made(_grown(name, (*args[own:], *kwargs.values())))
        return plain(*args, **kwargs)

    return paid


def _narrow(plain: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(plain)
    def narrow(value: object, *args: object, **kwargs: object) -> object:
        _check_format(str(value), (*args, *kwargs.values()))
        return plain(value, *args, **kwargs)

    return narrow


def _check_format(text: str, given: object) -> None:
    """A width may stand in the text, or come as a number. Raises SecurityError for a large one."""
    BOUNDS.get().made(len(text))
    values = given if isinstance(given, tuple) else (given,)
    starred = "{" in text or "*" in text
    if _WIDE.search(text) or (starred and any(isinstance(each, int) and each > WIDTH_MAX for each in values)):
        raise SecurityError("a width over seven digits, or one that is not written there")
