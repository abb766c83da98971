"""A model's manifest in Ollama's JSON, and the digests in it. The manifest's sha256 is the model's digest."""

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct, field

from hoshikage.models.entry import Facts
from hoshikage.models.names import Name

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
MODEL_TYPE = "application/vnd.ollama.image.model"
AT_ONCE_BYTES = 1 << 30
"""Files up to this size are hashed at once, larger ones in the background."""
FILE_NAME_MAX = 255  # of every usual file system; a host may have 350 letters
SAMPLE_BYTES = 1 << 20


class Layer(Struct, frozen=True, rename="camel"):
    media_type: str
    digest: str
    size: int


class Manifest(Struct, frozen=True, kw_only=True, rename="camel"):
    schema_version: int = 2
    media_type: str = MANIFEST_TYPE
    config: Layer
    layers: tuple[Layer, ...]


class Config(Struct, frozen=True, kw_only=True):
    model_format: str = "gguf"
    model_family: str
    model_families: tuple[str, ...]
    model_type: str
    file_type: str
    context_length: int
    embedding_length: int
    capabilities: tuple[str, ...] = field(default=())


def manifest(facts: Facts, layer_digest: str) -> bytes:
    """The bytes of the manifest; the same facts and digest always give the same ones."""
    config = msgspec.json.encode(config_of(facts))
    made = Manifest(
        config=Layer(CONFIG_TYPE, f"sha256:{hashlib.sha256(config).hexdigest()}", len(config)),
        layers=(Layer(MODEL_TYPE, f"sha256:{layer_digest}", facts.size),),
    )
    return msgspec.json.encode(made) + b"\n"


def config_of(facts: Facts) -> Config:
    return Config(
        model_family=facts.family,
        model_families=(facts.family,),
        model_type=facts.parameter_size,
        file_type=facts.quantization_level,
        context_length=facts.context_length,
        embedding_length=facts.embedding_length,
        capabilities=facts.capabilities,
    )


def place(home: Path, name: Name) -> Path:
    """Where a model's manifest lies; names are compared without case, so it is lower case."""
    host = name.host.lower()
    if len(host) > FILE_NAME_MAX:
        host = hashlib.sha256(host.encode()).hexdigest()
    return home / "manifests" / host / name.namespace.lower() / name.model.lower() / name.tag.lower()


def file_digest(file: Path) -> str:
    """The sha256 of a whole file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sample_digest(file: Path) -> str:
    """What stands for a large file's sha256 until that is known: its size, its first and its last MiB."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as opened:
        digest.update(opened.read(SAMPLE_BYTES))
        opened.seek(max(0, size - SAMPLE_BYTES))
        digest.update(opened.read(SAMPLE_BYTES))
    return digest.hexdigest()
