"""An Ollama model's manifest: which layers it has, and what they say. Knows neither HTTP nor where files lie."""

import logging
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from hoshikage.conversation import Message
from hoshikage.errors import PullError
from hoshikage.models.blobs import hexadecimal
from hoshikage.models.entry import Stored

KIND = "application/vnd.ollama.image."
FILES = frozenset("model projector adapter draft".split())
TEXTS = frozenset("template prompt system params messages license".split())
IGNORED = frozenset(["embed"])
FOREIGN = frozenset(["tensor", "json"])
TEXT_BYTES = 4 << 20
MODEL_BYTES = 1 << 50
LAYERS = 1000
T = TypeVar("T")
log = logging.getLogger(__name__)


class Layer(Struct, frozen=True, kw_only=True, rename="camel"):
    """One blob; `size` in bytes."""

    media_type: str = ""
    digest: str
    size: Annotated[int, Meta(ge=0, le=MODEL_BYTES)]

    @property
    def kind(self) -> str:
        """The end of Ollama's media type, `model` say; empty for any other."""
        return self.media_type.removeprefix(KIND) if self.media_type.startswith(KIND) else ""


class Manifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Layers in their order; those that nothing is known to do with are left out."""

    media_type: str = ""
    config: Layer | None = None
    layers: Annotated[tuple[Layer, ...], Meta(max_length=LAYERS)] = ()


class Config(Struct, frozen=True, kw_only=True):
    """What is used of the config JSON."""

    model_format: str | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    remote_host: str | None = None


class Turn(Struct, frozen=True):
    role: str
    content: str | None = None


def read(data: bytes) -> Manifest:
    """The manifest, its digests and sizes checked. Raises PullError."""
    manifest = _decoded(data, Manifest, "its manifest")
    for layer in (*manifest.layers, *([manifest.config] if manifest.config else [])):
        hexadecimal(layer.digest)
    if any(layer.kind in FOREIGN for layer in manifest.layers):
        raise PullError(reason="this model is in safetensors format, for MLX; hoshikage runs GGUF models")
    unknown = {layer.media_type for layer in manifest.layers} - {KIND + kind for kind in FILES | TEXTS | IGNORED}
    for media_type in sorted(unknown):
        log.warning("layers of type %r are not fetched: nothing is known to do with them", media_type[:100])
    layers = tuple(layer for layer in manifest.layers if layer.kind in FILES | TEXTS)
    for layer in (*(each for each in layers if each.kind in TEXTS), *([manifest.config] if manifest.config else [])):
        if layer.size > TEXT_BYTES:
            raise PullError(reason=f"the layer {layer.digest[7:19]} is text of {layer.size} bytes, too much")
    return Manifest(media_type=manifest.media_type, config=manifest.config, layers=layers)


def configured(manifest: Manifest, data: bytes | None) -> Config:
    """The config, of a model that can run here. Raises PullError."""
    config = Config() if data is None else _decoded(data, Config, "its config")
    if config.remote_host:
        host = config.remote_host[:100]
        raise PullError(reason=f"this is a cloud model, which runs at {host}; cloud models do not run here")
    if config.model_format not in {None, "", "gguf"}:
        raise PullError(reason=f"this model is in {config.model_format[:40]!r} format; hoshikage runs GGUF models")
    if not any(layer.kind == "model" for layer in manifest.layers):
        raise PullError(reason=f"this is no Ollama model: a manifest of type {manifest.media_type!r} without weights")
    return config


def stored(
    manifest: Manifest, config: Config, path: Callable[[str], str], texts: Mapping[str, bytes], source: str
) -> Stored:
    """The model, given the path of each digest's file and the text layers by digest. Raises PullError.

    Of several layers of one kind the last counts, as in Ollama; adapters, projectors and licences are all kept.
    """
    digests: dict[str, list[str]] = {}
    for layer in manifest.layers:
        digests.setdefault("template" if layer.kind == "prompt" else layer.kind, []).append(layer.digest)
    files = {kind: tuple(path(digest) for digest in digests.get(kind, [])) for kind in FILES}
    found = {kind: [_text(texts[digest], kind) for digest in digests.get(kind, [])] for kind in TEXTS - {"prompt"}}
    parameters, stop = _parameters(found["params"])
    return Stored(
        path=files["model"][-1],
        stop=stop,
        parameters=parameters,
        system=found["system"][-1] if found["system"] else None,
        template=found["template"][-1] if found["template"] else None,
        messages=_messages(found["messages"]),
        license=tuple(found["license"]),
        adapters=files["adapter"],
        projectors=files["projector"],
        draft=files["draft"][-1] if files["draft"] else "",
        renderer=config.renderer or "",
        parser=config.parser or "",
        requires=config.requires or "",
        origin=source,
        fetched=True,
    )


def _parameters(texts: list[str]) -> tuple[dict[str, object], tuple[str, ...]]:
    """The parameters without `stop`, and that."""
    if not texts:
        return {}, ()
    parameters = _decoded(texts[-1], dict[str, object], "its parameters")
    stop = parameters.pop("stop", None)
    try:
        stops = msgspec.convert([stop] if isinstance(stop, str) else stop, tuple[str, ...] | None)
    except msgspec.ValidationError as error:
        raise PullError(reason=f"its stop strings cannot be read: {error}") from error
    return parameters, stops or ()


def _messages(texts: list[str]) -> tuple[Message, ...]:
    turns = _decoded(texts[-1], tuple[Turn, ...], "its messages") if texts else ()
    return tuple(Message(role=turn.role, content=turn.content or "") for turn in turns)


def _text(data: bytes, kind: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise PullError(reason=f"its {kind} is not UTF-8 text") from error


def _decoded(data: bytes | str, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PullError(reason=f"{what} cannot be read: {error}") from error
