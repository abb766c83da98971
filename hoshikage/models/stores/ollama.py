"""Ollama's store: manifests/<host>/<namespace>/<model>/<tag> and blobs/sha256-<digest>. Used where it lies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hoshikage.errors import BadName, ManifestUnusable
from hoshikage.models.blobs import FOLDER, hexadecimal
from hoshikage.models.entry import Stored
from hoshikage.models.layers import MANIFEST_BYTES, Layer, configured, read, stored
from hoshikage.models.links import inside
from hoshikage.models.names import Name, parse
from hoshikage.models.stores.base import Found, examined, reason

SEPARATORS = "-:"
"""Between `sha256` and the digest in a blob's file name; the colon is that of old versions."""


@dataclass(frozen=True, slots=True)
class Ollama:
    name: ClassVar[str] = "ollama"
    root: Path

    def models(self) -> Iterator[Found]:
        for path in sorted(self.root.glob("manifests/*/*/*/*")):
            name = _name(path)
            if name and not path.is_dir():
                yield self._found(name, path)

    def _found(self, name: Name, path: Path) -> Found:
        origin = f"{self.name}:{name.full}"
        try:
            model, note = examined(self._stored(path, origin))
        except (ManifestUnusable, OSError) as error:
            model, note = Stored(path=str(path), origin=origin), reason(error)
        return Found(name=name.short, model=model, note=note)

    def _stored(self, path: Path, origin: str) -> Stored:
        """The entry that a manifest describes. Raises ManifestUnusable or OSError."""
        manifest = read(self._manifest(path))
        config = configured(manifest, self._text(manifest.config) if manifest.config else None)
        return stored(manifest, config, self._text, self._path, origin)

    def _manifest(self, path: Path) -> bytes:
        if not inside(path, self.root / "manifests"):
            raise ManifestUnusable(reason="its manifest is a link out of the store")
        if not path.is_file() or path.stat().st_size > MANIFEST_BYTES:
            raise ManifestUnusable(reason=f"its manifest is no file of at most {MANIFEST_BYTES} bytes")
        return path.read_bytes()

    def _text(self, layer: Layer) -> bytes:
        return self._blob(layer).read_bytes()

    def _path(self, layer: Layer) -> str:
        return str(self._blob(layer))

    def _blob(self, layer: Layer) -> Path:
        """The whole file of a layer. The folder of blobs may be a link to another disk, a blob must stay inside it."""
        folder, sha256 = self.root / FOLDER, hexadecimal(layer.digest)
        short = f"sha256-{sha256[:12]}…"
        for path in (folder / f"sha256{separator}{sha256}" for separator in SEPARATORS):
            if not inside(path, folder):
                raise ManifestUnusable(reason=f"the blob {short} is a link out of the store")
            if path.is_file():
                if (size := path.stat().st_size) != layer.size:
                    raise ManifestUnusable(reason=f"the blob {short} has {size} bytes of {layer.size}")
                return path
        raise ManifestUnusable(reason=f"the blob {short} is missing")


def _name(path: Path) -> Name | None:
    """The name that the last four parts of a manifest's path spell."""
    host, namespace, model, tag = path.parts[-4:]
    try:
        return parse(f"{host}/{namespace}/{model}:{tag}")
    except BadName:
        return None
