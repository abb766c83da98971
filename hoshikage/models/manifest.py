"""A model's manifest in Ollama's JSON. The manifest's sha256 is the model's digest. Opens no file."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from hoshikage.models.digests import Digest
from hoshikage.models.entry import Stored
from hoshikage.models.media_types import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE
from hoshikage.models.names import Name

FILE_NAME_MAX = 255  # of every usual file system; a host may have 350 letters

DigestOf = Callable[[Path], Digest]


class Layer(Struct, frozen=True, rename="camel"):
    media_type: str
    digest: str
    size: int


class Manifest(Struct, frozen=True, kw_only=True, rename="camel"):
    schema_version: int = 2
    media_type: str = MANIFEST_TYPE
    config: Layer
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Bytes of all layers and the config."""
        return self.config.size + sum(layer.size for layer in self.layers)

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        return msgspec.json.encode(self) + b"\n"

    @property
    def digest(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()


class Config(Struct, frozen=True, kw_only=True):
    model_format: str = "gguf"
    model_family: str
    model_families: tuple[str, ...]
    model_type: str
    file_type: str
    context_length: int
    embedding_length: int
    capabilities: tuple[str, ...] = field(default=())
    renderer: str | UnsetType = UNSET
    parser: str | UnsetType = UNSET
    requires: str | UnsetType = UNSET


def manifest(stored: Stored, digest_of: DigestOf) -> Manifest:
    """The manifest of an entry whose paths are absolute; the same entry and digests always give the same bytes."""
    config = msgspec.json.encode(config_of(stored))
    files = tuple(_of_file(kind, Path(path), digest_of) for kind, path in kinds(stored))
    texts = tuple(_of_text(kind, text) for kind, text in texts_of(stored))
    return Manifest(config=of_bytes(CONFIG_TYPE, config), layers=files + texts)


def kinds(stored: Stored) -> Iterator[tuple[str, str]]:
    """Its files with what each is, in the manifest's order."""
    yield from (("model", path) for path in stored.weights)
    yield from (("projector", path) for path in stored.projectors)
    yield from (("adapter", path) for path in stored.adapters)
    if stored.draft:
        yield "draft", stored.draft


def texts_of(stored: Stored) -> Iterator[tuple[str, str]]:
    """Its text layers with what each is."""
    parameters = {**stored.parameters, **({"stop": stored.stop} if stored.stop else {})}
    if stored.template is not None:
        yield "template", stored.template
    if stored.system:
        yield "system", stored.system
    if parameters:
        yield "params", msgspec.json.encode(parameters).decode()
    if stored.messages:
        yield "messages", msgspec.json.encode(stored.messages).decode()
    yield from (("license", text) for text in stored.license)


def _of_file(kind: str, path: Path, digest_of: DigestOf) -> Layer:
    digest = digest_of(path)
    return Layer(f"{LAYER_TYPE}{kind}", f"sha256:{digest.sha256}", digest.size)


def _of_text(kind: str, text: str) -> Layer:
    return of_bytes(f"{LAYER_TYPE}{kind}", text.encode("utf-8", "replace"))


def of_bytes(media_type: str, data: bytes) -> Layer:
    return Layer(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


def config_of(stored: Stored) -> Config:
    facts = stored.facts
    return Config(
        model_family=facts.family,
        model_families=(facts.family,),
        model_type=facts.parameter_size,
        file_type=facts.quantization_level,
        context_length=facts.context_length,
        embedding_length=facts.embedding_length,
        capabilities=facts.capabilities,
        renderer=stored.renderer or UNSET,
        parser=stored.parser or UNSET,
        requires=stored.requires or UNSET,
    )


def place(home: Path, name: Name) -> Path:
    """Where a model's manifest lies; names are compared without case, so it is lower case."""
    host = name.host.lower()
    if len(host) > FILE_NAME_MAX:
        host = hashlib.sha256(host.encode()).hexdigest()
    return home / "manifests" / host / name.namespace.lower() / name.model.lower() / name.tag.lower()
