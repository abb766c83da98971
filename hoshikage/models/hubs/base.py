"""What a hub is: it knows names and fetches files, with progress. It does not know the registry."""

from collections.abc import Generator
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hoshikage.models.entry import Stored


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a pull, in the words of Ollama's progress lines; sizes in bytes, never going backwards."""

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


class Fetched(Struct, frozen=True, kw_only=True):
    """A model whose files are whole and checked, and the name it is registered under."""

    name: str
    model: Stored


Steps = Generator[Progress, None, Fetched]
STARTED = Progress(status="pulling manifest")
"""The first step of any pull."""


class Hub(Protocol):
    """One source of models. `known` tells a person what it takes."""

    known: str

    def takes(self, name: str) -> bool: ...

    def plan(self, name: str, folder: Path) -> Fetched:
        """What fetching into `folder` will bring, asked before anything is transferred. Raises UnknownSource."""
        ...

    def fetch(self, name: str, folder: Path) -> Steps:
        """Fetch into `folder`. Raises PullError; closing the generator ends the transfer. What it
        leaves then is whole and checked, and the next fetch goes on from there."""
        ...
