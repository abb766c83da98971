"""One registered model: what the registry keeps of it, and what its file's header says. Knows no other model."""

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field, structs

from hoshikage.conversation import Message
from hoshikage.models.capabilities import capabilities, check_model, check_part, with_template
from hoshikage.models.gguf import Header, human_count, read_header
from hoshikage.models.infill import fills
from hoshikage.models.names import NAMESPACE, Name, parse
from hoshikage.models.shards import named, whole

LATEST_SECONDS = 250_000_000_000  # in the year 9892, which every calendar still prints
SERVED = ("completion", "embedding", "tools", "insert", "thinking", "vision")


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the header of a file of this size and mtime says; lengths in tokens and dimensions.

    The file is the first of so many `shards`.
    """

    size: int = 0
    mtime_ns: int = 0
    family: str = ""
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int = 0
    embedding_length: int = 0
    capabilities: tuple[str, ...] = ()
    shards: int = 1


class Stored(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model's value in model_map.json. Paths may be relative to the map's folder; `path` is the first of its shards.

    `template` is Go text/template. `parent` is the name or file it was made from. `fetched` tells that its files in our
    own folders were brought by us, and go when it is deleted. `exact` tells that `digest` is made from the files' whole
    sha256 and not from samples of them; `size` is that of all its layers.
    """

    path: str
    stop: tuple[str, ...] = ()
    parameters: dict[str, object] = field(default_factory=dict)
    system: str | None = None
    template: str | None = None
    messages: tuple[Message, ...] = ()
    license: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    projectors: tuple[str, ...] = ()
    draft: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    parent: str = ""
    digest: str = ""
    exact: bool = True
    size: int = 0
    origin: str = "local"
    fetched: bool = False
    created: Annotated[float, Meta(ge=0, le=LATEST_SECONDS)] = 0.0
    facts: Facts = Facts()

    @property
    def described(self) -> "Stored":
        """Without what follows from the files and from when it was registered."""
        return structs.replace(self, digest="", exact=True, size=0, created=0.0, facts=Facts())

    @property
    def weights(self) -> tuple[str, ...]:
        """The file, or all its shards by llama.cpp's naming."""
        return named(self.path, self.facts.shards)

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The files beside the weights, with what each must be by its header."""
        beside = (("adapter", self.adapters), ("mmproj", self.projectors), ("model", (self.draft,)))
        return tuple((kind, path) for kind, paths in beside for path in paths if path)

    @property
    def paths(self) -> tuple[str, ...]:
        """All its files."""
        return self.weights + tuple(path for _, path in self.parts)


class Entry(Struct, frozen=True, kw_only=True):
    """A registered model; the paths in `stored` are absolute, and `file` is the first of them."""

    name: str
    file: Path
    stored: Stored

    @property
    def missing(self) -> bool:
        """Whether a file of it is gone."""
        return self.lost is not None

    @property
    def lost(self) -> Path | None:
        """The first of its files that is gone."""
        # Path.is_file raises for a name that is too long
        return next((Path(path) for path in self.stored.paths if not os.path.isfile(path)), None)  # noqa: PTH113

    @property
    def parsed(self) -> Name:
        return parse(self.name)

    @property
    def owner(self) -> str:
        return self.parsed.namespace or NAMESPACE

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files: weights, adapters, projectors and draft model."""
        return tuple(Path(path) for path in self.stored.paths)

    @property
    def beside(self) -> tuple[str, ...]:
        """What a worker loads with the weights: the adapters, and the one projector that is used."""
        return (*self.stored.adapters, *self.stored.projectors[:1])

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
        """Bytes of all its layers."""
        return self.stored.size or self.stored.facts.size

    @property
    def created(self) -> float:
        """Unix seconds of its registration."""
        return self.stored.created

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What can be asked of it here, in the order of Ollama's `/api/tags`."""
        able = {*with_template(self.stored.facts.capabilities, self.stored.template)}
        able |= {"insert"} if self.places_suffix else set()
        able |= {"vision"} if self.stored.projectors and "completion" in able else set()
        return tuple(each for each in SERVED if each in able)

    @property
    def places_suffix(self) -> bool:
        """Whether its TEMPLATE has a place for what comes after the answer."""
        return ".Suffix" in (self.stored.template or "")


def checked(model: Stored) -> Facts:
    """What the header says of a model, once all its files are found to be what they must be.

    Raises FileMissing, NotGguf or OSError.
    """
    path = Path(model.path)
    header = read_header(path)
    facts = facts_of(path, header)  # first, since only part 1 of a model says what it is
    check_model(header, path)
    for kind, part in model.parts:
        check_part(read_header(Path(part)), part, kind)
    return facts


def facts_of(file: Path, header: Header) -> Facts:
    """Raises FileMissing or NotGguf if a shard is not there or is another model's."""
    status, together = file.stat(), whole(file, header)
    return Facts(
        shards=len(together.paths),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        family=header.architecture,
        parameter_size=human_count(together.parameter_count),
        quantization_level=header.file_type,
        context_length=header.context_length,
        embedding_length=header.embedding_length,
        capabilities=capabilities(header, fills=fills(file, header)),
    )
