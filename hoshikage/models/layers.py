"""From a manifest in Ollama's JSON to the entry that its layers make. Knows neither a store's layout nor a network.

Read as Ollama 0.33 reads it: of template, system, parameters and weights the last layer counts, unknown ones do not.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from hoshikage.conversation import Message
from hoshikage.models.entry import Stored

T = TypeVar("T")

MANIFEST_LIMIT_BYTES = TEXT_LIMIT_BYTES = 4 << 20
LAYER_TYPE = "application/vnd.ollama.image."
TENSORS = frozenset(("tensor", "json"))
"""Layers of a model that is kept as safetensors."""
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")


class Unusable(ValueError):
    """Why a manifest makes no model here; the text is for people."""


class Layer(Struct, frozen=True, kw_only=True, rename="camel"):
    media_type: str = ""
    digest: str
    size: int
    from_: str = field(default="", name="from")

    @property
    def kind(self) -> str:
        """The last word of the media type: model, template, params, ..."""
        return self.media_type.removeprefix(LAYER_TYPE)

    @property
    def sha256(self) -> str:
        """64 hexadecimal digits, so that it may become a part of a path. Raises Unusable."""
        match = _DIGEST.fullmatch(self.digest)
        if not match:
            raise Unusable(f"the manifest has the malformed digest {self.digest[:80]!r}")
        return match[1]


class Manifest(Struct, frozen=True, kw_only=True):
    config: Layer | None = None
    layers: tuple[Layer, ...] | None = ()

    @property
    def parts(self) -> tuple[Layer, ...]:
        return self.layers or ()

    def of(self, *kinds: str) -> tuple[Layer, ...]:
        """The layers of these kinds, in order."""
        return tuple(layer for layer in self.parts if layer.kind in kinds)


class Config(Struct, frozen=True, kw_only=True):
    """What is used of a config; any field may be null there."""

    model_format: str | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    remote_host: str | None = None


Locate = Callable[[Layer], Path]
"""Where a layer's file lies; raises Unusable where there is none."""


def manifest_of(data: bytes) -> Manifest:
    """The manifest in a file. Raises Unusable."""
    return decoded(data, Manifest, "the manifest")


def stored_of(manifest: Manifest, locate: Locate, origin: str) -> Stored:
    """The entry that the layers make, where their files lie. Opens only the small ones. Raises Unusable or OSError."""
    texts = Texts(locate)
    config = decoded(texts.read(manifest.config), Config, "the config") if manifest.config else Config()
    weights = _weights(manifest, config)
    parameters = _parameters(texts, manifest)
    return Stored(
        path=str(whole(weights, locate)),
        stop=_stop(parameters.pop("stop", None)),
        parameters=parameters,
        system=texts.last(manifest.of("system")),
        template=texts.last(manifest.of("template", "prompt")),
        messages=_messages(texts, manifest),
        license=tuple(texts.each(manifest.of("license"))),
        adapters=_files(manifest.of("adapter"), locate),
        projectors=_files(manifest.of("projector"), locate),
        draft="".join(_files(manifest.of("draft")[-1:], locate)),
        renderer=config.renderer or "",
        parser=config.parser or "",
        requires=config.requires or "",
        parent=weights.from_,
        origin=origin,
    )


def whole(layer: Layer, locate: Locate) -> Path:
    """The layer's file, which must have its size. Raises Unusable or OSError."""
    path = locate(layer)
    if (size := path.stat().st_size) != layer.size:
        raise Unusable(f"the blob {path.name[:19]}… has {size} bytes of {layer.size}")
    return path


class Texts:
    """Reads layers that hold text."""

    def __init__(self, locate: Locate) -> None:
        self._locate = locate

    def read(self, layer: Layer) -> bytes:
        path = whole(layer, self._locate)
        if layer.size > TEXT_LIMIT_BYTES:
            raise Unusable(f"the layer {layer.kind[:40]!r} has {layer.size} bytes, more than {TEXT_LIMIT_BYTES}")
        return path.read_bytes()

    def each(self, layers: Iterable[Layer]) -> Iterator[str]:
        return (self.read(layer).decode("utf-8", "replace") for layer in layers)

    def last(self, layers: tuple[Layer, ...]) -> str | None:
        return next(self.each(layers[-1:]), None)


def decoded(data: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"{what} cannot be read: {error}") from None


def _weights(manifest: Manifest, config: Config) -> Layer:
    """The one layer of weights. Raises Unusable for what runs elsewhere, and for weights in another format."""
    if config.remote_host:
        raise Unusable(f"it runs in the cloud ({config.remote_host}), its weights are not here")
    found = manifest.of("model")
    if config.model_format not in {None, "", "gguf"} or (not found and manifest.of(*TENSORS)):
        raise Unusable(f"its weights are {config.model_format or 'safetensors'}, not GGUF")
    if not found:
        raise Unusable("it has no weights")
    if len(found) > 1:
        raise Unusable(f"its weights are split over {len(found)} blobs, which llama.cpp finds only by their file names")
    return found[0]


def _parameters(texts: Texts, manifest: Manifest) -> dict[str, object]:
    found = (decoded(data, dict[str, object], "params") for data in _given(texts, manifest, "params"))
    return {key: value for key, value in next(found, {}).items() if value is not None}


def _stop(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str) and each)


def _messages(texts: Texts, manifest: Manifest) -> tuple[Message, ...]:
    found = (decoded(data, tuple[Message, ...], "messages") for data in _given(texts, manifest, "messages"))
    return next(found, ())


def _given(texts: Texts, manifest: Manifest, kind: str) -> Iterator[bytes]:
    """The JSON of the layer of this kind that counts, unless it is null."""
    return (data for layer in manifest.of(kind)[-1:] if (data := texts.read(layer)).strip() not in {b"", b"null"})


def _files(layers: Iterable[Layer], locate: Locate) -> tuple[str, ...]:
    return tuple(str(whole(layer, locate)) for layer in layers)
