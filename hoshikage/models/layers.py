"""From a manifest in Ollama's JSON to the entry that its layers make. Knows neither HTTP nor where files lie.

Read as Ollama 0.33 reads it: of several layers of one kind the last counts, while adapters, projectors and licences
are all kept.
"""

import functools
import logging
from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from hoshikage.conversation import Message
from hoshikage.errors import ManifestUnusable
from hoshikage.models.blobs import hexadecimal
from hoshikage.models.entry import Stored
from hoshikage.models.media_types import LAYER_TYPE

FILES = frozenset("model projector adapter draft".split())
TEXTS = frozenset("template prompt system params messages license".split())
IGNORED = frozenset(["embed"])
FOREIGN = frozenset(["tensor", "json"])
"""Layers of a model that is kept as safetensors."""
MANIFEST_BYTES = 4 << 20
TEXT_BYTES = 4 << 20
"""The largest text; of all the texts of a model together, four times as much."""
MODEL_BYTES = 1 << 50
LAYERS = 1000
FROM_LETTERS = 4096
T = TypeVar("T")
log = logging.getLogger(__name__)


class Layer(Struct, frozen=True, kw_only=True, rename="camel"):
    """One blob; `size` in bytes, `from_` is the name or the file that weights were made from."""

    media_type: str = ""
    digest: str
    size: Annotated[int, Meta(ge=0, le=MODEL_BYTES)]
    from_: Annotated[str, Meta(max_length=FROM_LETTERS)] | None = field(default=None, name="from")

    @property
    def kind(self) -> str:
        """The end of Ollama's media type, `model` say; empty for any other."""
        return self.media_type.removeprefix(LAYER_TYPE) if self.media_type.startswith(LAYER_TYPE) else ""


class Manifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Layers in their order; those that nothing is known to do with are left out."""

    media_type: str | None = None
    config: Layer | None = None
    layers: Annotated[tuple[Layer, ...], Meta(max_length=LAYERS)] | None = None

    @property
    def texts(self) -> tuple[Layer, ...]:
        return self.of(*TEXTS)

    def of(self, *kinds: str) -> tuple[Layer, ...]:
        """The layers of these kinds, in order."""
        return tuple(layer for layer in self.layers or () if layer.kind in kinds)


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
    """The manifest, its digests and sizes checked. Raises ManifestUnusable."""
    manifest = _decoded(data, Manifest, "its manifest")
    layers = manifest.layers or ()
    config = (manifest.config,) if manifest.config else ()
    for layer in (*layers, *config):
        hexadecimal(layer.digest)
    if any(layer.kind in FOREIGN for layer in layers):
        raise ManifestUnusable(reason="this model is in safetensors format, for MLX; hoshikage runs GGUF models")
    for media_type in sorted({layer.media_type for layer in layers if layer.kind not in FILES | TEXTS | IGNORED}):
        _say_unknown(media_type[:100])
    known = msgspec.structs.replace(manifest, layers=manifest.of(*FILES, *TEXTS))
    _check_texts((*known.texts, *config))
    return known


def configured(manifest: Manifest, data: bytes | None) -> Config:
    """The config, of a model that can run here. Raises ManifestUnusable."""
    config = Config() if data is None else _decoded(data, Config, "its config")
    if config.remote_host:
        host = config.remote_host[:100]
        raise ManifestUnusable(reason=f"this is a cloud model, which runs at {host}; cloud models do not run here")
    if config.model_format not in {None, "", "gguf"}:
        raise ManifestUnusable(
            reason=f"this model is in {config.model_format[:40]!r} format; hoshikage runs GGUF models"
        )
    weights = {layer.digest for layer in manifest.of("model")}
    if not weights:
        kind = (manifest.media_type or "")[:100]
        raise ManifestUnusable(reason=f"this is no Ollama model: a manifest of type {kind!r} without weights")
    if len(weights) > 1:
        raise ManifestUnusable(
            reason=f"its weights are {len(weights)} blobs, whose names do not tell llama.cpp which come next"
        )
    return config


def stored(
    manifest: Manifest, config: Config, text: Callable[[Layer], bytes], path: Callable[[Layer], str], origin: str
) -> Stored:
    """The model that a configured manifest describes, by what gives a layer's text and a layer's file.

    Raises ManifestUnusable, and what these two raise.
    """
    weights = manifest.of("model")[-1]
    parameters, stop = _parameters(_last(manifest.of("params"), text))
    return Stored(
        path=path(weights),
        stop=stop,
        parameters=parameters,
        system=_last(manifest.of("system"), text),
        template=_last(manifest.of("template", "prompt"), text),
        messages=_messages(_last(manifest.of("messages"), text)),
        license=tuple(_text(layer, text) for layer in manifest.of("license")),
        adapters=tuple(map(path, manifest.of("adapter"))),
        projectors=tuple(map(path, manifest.of("projector"))),
        draft="".join(map(path, manifest.of("draft")[-1:])),
        renderer=config.renderer or "",
        parser=config.parser or "",
        requires=config.requires or "",
        parent=weights.from_ or "",
        origin=origin,
    )


@functools.lru_cache(maxsize=256)
def _say_unknown(media_type: str) -> None:
    """Once a process, since a store has many manifests and is listed again and again."""
    log.warning("layers of type %r are passed over: nothing is known to do with them", media_type)


def _check_texts(layers: Iterable[Layer]) -> None:
    total = 0
    for layer in layers:
        total += layer.size
        if layer.size > TEXT_BYTES:
            raise ManifestUnusable(reason=f"the layer {layer.digest[7:19]} is text of {layer.size} bytes, too much")
    if total > 4 * TEXT_BYTES:
        raise ManifestUnusable(reason=f"its texts have {total} bytes together, too much")


def _parameters(text: str | None) -> tuple[dict[str, object], tuple[str, ...]]:
    """The parameters without `stop`, and that; what is null is not given."""
    found = _json(text, dict[str, object], "parameters") or {}
    stop = found.pop("stop", None)
    try:
        stops = msgspec.convert([stop] if isinstance(stop, str) else stop, tuple[str | None, ...] | None)
    except msgspec.ValidationError as error:
        raise ManifestUnusable(reason=f"its stop strings cannot be read: {error}") from error
    return {name: value for name, value in found.items() if value is not None}, tuple(filter(None, stops or ()))


def _messages(text: str | None) -> tuple[Message, ...]:
    turns = _json(text, tuple[Turn, ...], "messages") or ()
    return tuple(Message(role=turn.role, content=turn.content or "") for turn in turns)


def _last(layers: tuple[Layer, ...], text: Callable[[Layer], bytes]) -> str | None:
    return _text(layers[-1], text) if layers else None


def _text(layer: Layer, text: Callable[[Layer], bytes]) -> str:
    try:
        return text(layer).decode()
    except UnicodeDecodeError as error:
        raise ManifestUnusable(reason=f"its {layer.kind} is not UTF-8 text") from error


def _json(text: str | None, kind: type[T], what: str) -> T | None:
    """None for what is empty or null."""
    return None if text is None or text.strip() in {"", "null"} else _decoded(text, kind, f"its {what}")


def _decoded(data: bytes | str, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestUnusable(reason=f"{what} cannot be read: {error}") from error
