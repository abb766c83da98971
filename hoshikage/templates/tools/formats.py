"""FORMATS: every format of calls, one row each. A new one is a file beside this and a row here."""

from hoshikage.templates.tools import generic, hermes
from hoshikage.templates.tools.base import Format

FORMATS: tuple[Format, ...] = (hermes.FORMAT, generic.FORMAT)
"""The first that matches counts; the last matches everything."""


def format_of(template: str) -> Format:
    """How models with this chat template write calls."""
    return next(each for each in FORMATS if each.matches(template))
