"""One registered model: what the registry keeps of it, and what its file's header says. Knows no other model."""

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from hoshikage.models.capabilities import capabilities
from hoshikage.models.gguf import Header
from hoshikage.models.names import NAMESPACE, Name, parse

LATEST_SECONDS = 250_000_000_000  # in the year 9892, which every calendar still prints
SERVED = ("completion", "embedding")


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the header of a file of this size and mtime says; lengths in tokens and dimensions."""

    size: int = 0
    mtime_ns: int = 0
    family: str = ""
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int = 0
    embedding_length: int = 0
    capabilities: tuple[str, ...] = ()


class Stored(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model's value in model_map.json. `path` may be relative to the map's folder.

    `exact` tells that `digest` is made from the whole file's sha256 and not from a sample of it.
    """

    path: str
    stop: tuple[str, ...] = ()
    parameters: dict[str, object] = field(default_factory=dict)
    system: str | None = None
    template: str | None = None
    digest: str = ""
    exact: bool = True
    origin: str = "local"
    fetched: bool = False
    created: Annotated[float, Meta(ge=0, le=LATEST_SECONDS)] = 0.0
    facts: Facts = Facts()


class Entry(Struct, frozen=True, kw_only=True):
    """A registered model, its path resolved."""

    name: str
    file: Path
    stored: Stored

    @property
    def missing(self) -> bool:
        """Whether its file is gone."""
        return not os.path.isfile(self.file)  # noqa: PTH113 - Path.is_file raises for a name that is too long

    @property
    def parsed(self) -> Name:
        return parse(self.name)

    @property
    def owner(self) -> str:
        return self.parsed.namespace or NAMESPACE

    @property
    def stop(self) -> tuple[str, ...]:
        return self.stored.stop

    @property
    def parameters(self) -> dict[str, object]:
        return self.stored.parameters

    @property
    def system(self) -> str | None:
        return self.stored.system

    @property
    def digest(self) -> str:
        """64 hexadecimal digits: the sha256 of its manifest."""
        return self.stored.digest

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.stored.facts.size

    @property
    def created(self) -> float:
        """Unix seconds of its registration."""
        return self.stored.created

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What can be asked of it here; what its template could do beyond that is not offered yet."""
        return tuple(each for each in self.stored.facts.capabilities if each in SERVED)


def facts_of(file: Path, header: Header) -> Facts:
    status = file.stat()
    return Facts(
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        family=header.architecture,
        parameter_size=header.parameter_size,
        quantization_level=header.file_type,
        context_length=header.context_length,
        embedding_length=header.embedding_length,
        capabilities=capabilities(header),
    )
