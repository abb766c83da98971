"""The parsed template. Every node that can fail has `pos`, its offset in the source, and `text` as Go prints it."""

from __future__ import annotations

from msgspec import Struct


class Dot(Struct, frozen=True):
    """The present value."""

    pos: int
    text: str = "."


class Nil(Struct, frozen=True):
    """The word nil."""

    pos: int
    text: str = "nil"


class Literal(Struct, frozen=True):
    """A constant of the source."""

    pos: int
    text: str
    value: str | int | float | bool


class Field(Struct, frozen=True):
    """`.A.B`, looked up in the present value."""

    pos: int
    text: str
    names: tuple[str, ...]


class Variable(Struct, frozen=True):
    """`$x.A.B`; `$` alone is the data."""

    pos: int
    text: str
    name: str
    names: tuple[str, ...] = ()


class Chain(Struct, frozen=True):
    """`(…).A.B` or `function.A`."""

    pos: int
    text: str
    operand: Operand
    names: tuple[str, ...]


class Function(Struct, frozen=True):
    """The name of a function."""

    pos: int
    text: str


class Command(Struct, frozen=True):
    """One stage of a pipeline: an operand and its arguments."""

    pos: int
    text: str
    args: tuple[Operand, ...]


class Pipeline(Struct, frozen=True):
    """Commands, each given the value of the one before; the last value goes to the `declared` variables."""

    pos: int
    text: str
    declared: tuple[str, ...]
    assigns: bool
    commands: tuple[Command, ...]


class Text(Struct, frozen=True):
    """What stands between the actions."""

    text: str


class Action(Struct, frozen=True):
    """A pipeline whose value is printed, unless it declares."""

    pipe: Pipeline


class Arm(Struct, frozen=True):
    """A condition and what it guards."""

    pipe: Pipeline
    body: Body


class If(Struct, frozen=True):
    """The first true arm, `else if` included; otherwise the rest."""

    arms: tuple[Arm, ...]
    otherwise: Body = ()


class With(Struct, frozen=True):
    """As If, and the condition becomes the present value."""

    arms: tuple[Arm, ...]
    otherwise: Body = ()


class Range(Struct, frozen=True):
    """The body for each item; otherwise the rest."""

    pipe: Pipeline
    body: Body
    otherwise: Body = ()


class Break(Struct, frozen=True):
    """Ends the innermost range."""


class Continue(Struct, frozen=True):
    """Ends this turn of the innermost range."""


Operand = Dot | Nil | Literal | Field | Variable | Chain | Function | Pipeline
Node = Text | Action | If | With | Range | Break | Continue
Body = tuple[Node, ...]
