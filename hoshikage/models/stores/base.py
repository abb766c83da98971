"""What a store is, and what all of them share: the check of a model's files, and names that are given once."""

import hashlib
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

from msgspec import Struct, structs

from hoshikage.errors import FileMissing, HoshikageError
from hoshikage.models.entry import Stored, checked
from hoshikage.models.names import fold

PART_LETTERS = 80
"""The longest namespace, model or tag."""
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
_LAST_PART = re.compile(r"[^:/]*\Z")


class Found(Struct, frozen=True, kw_only=True):
    """A model in a store: the name to register it under, and its entry. `note` tells why it cannot be used."""

    name: str
    model: Stored
    note: str = ""


class Store(Protocol):
    """Another tool's models. Listing them opens headers and manifests, and writes nothing."""

    @property
    def name(self) -> str: ...

    @property
    def root(self) -> Path: ...

    def models(self) -> Iterator[Found]:
        """All models, in the same order each time. What cannot be used has a note; nothing is raised."""


def examined(model: Stored) -> tuple[Stored, str]:
    """The entry with what its header says and the bytes of all its files, and why it cannot be used."""
    try:
        known = structs.replace(model, facts=checked(model))
        return structs.replace(known, size=sum(Path(each).stat().st_size for each in known.paths)), ""
    except (HoshikageError, OSError) as error:
        return model, reason(error)


def reason(error: Exception) -> str:
    """The error in a few words, without the path where that is the model's own."""
    if isinstance(error, FileMissing):
        return f"the file is missing: {error.data['path']}"
    if isinstance(error, HoshikageError):
        return str(error.data.get("reason") or error)
    return (isinstance(error, OSError) and error.strerror) or str(error)


def part(text: str, *, dots: bool = True) -> str:
    """The text as a part of a name: other letters become `-`; without any left it is `model-` and 8 digits."""
    fit = _UNFIT.sub("-", text if dots else text.replace(".", "-")).strip("-.")[:PART_LETTERS].rstrip("-.")
    digits = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return fit or f"model-{digits}"


class Names:
    """Hands out each name once; in the next use of it a number follows."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        for number in count(1):
            candidate = name if number == 1 else _numbered(name, f"-{number}")
            if fold(candidate) not in self._taken:
                break
        self._taken.add(fold(candidate))
        return candidate


def _numbered(name: str, suffix: str) -> str:
    return _LAST_PART.sub(lambda found: found[0][: PART_LETTERS - len(suffix)] + suffix, name, count=1)
