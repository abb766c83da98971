"""How a setting is described: its variables, its reader, its default and what it is for. Knows no setting."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Reader = Callable[[str, Path], object]


@dataclass(frozen=True, slots=True)
class Variable:
    """How a setting is named, read and explained. Earlier names win; `effective` = it does something today."""

    names: tuple[str, ...]
    read: Reader
    shown: str
    why: str
    ja: str
    effective: bool = True


def setting(names: str, read: Reader, default: str, why: str, ja: str, *, effective: bool = True) -> Any:
    """A field read from the environment variables `names`; the default is read like a value.

    Only Settings.load makes one: a dataclass default would be text that nothing has read.
    """
    return field(metadata={"variable": Variable(tuple(names.split()), read, default, why, ja, effective)})
