"""Ollama's store: manifests/<host>/<namespace>/<model>/<tag> and blobs/sha256-<digest>. Used where it lies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hoshikage.errors import BadName
from hoshikage.models.entry import Stored
from hoshikage.models.layers import MANIFEST_LIMIT_BYTES, Layer, Unusable, manifest_of, stored_of
from hoshikage.models.names import Name, parse
from hoshikage.models.stores.base import Found, examined, inside, reason

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
            model, note = examined(stored_of(manifest_of(self._read(path)), self._blob, origin))
        except (Unusable, OSError) as error:
            model, note = Stored(path=str(path), origin=origin), reason(error)
        return Found(name=name.short, model=model, note=note)

    def _read(self, path: Path) -> bytes:
        if not inside(path, self.root / "manifests"):
            raise Unusable("the manifest is a link out of the store")
        if not path.is_file() or path.stat().st_size > MANIFEST_LIMIT_BYTES:
            raise Unusable(f"the manifest is no file of at most {MANIFEST_LIMIT_BYTES} bytes")
        return path.read_bytes()

    def _blob(self, layer: Layer) -> Path:
        """The file of a layer. The folder of blobs may be a link to another disk, a blob must stay inside it."""
        folder, sha256 = self.root / "blobs", layer.sha256
        for separator in SEPARATORS:
            path = folder / f"sha256{separator}{sha256}"
            if not inside(path, folder):
                raise Unusable(f"the blob {path.name[:19]}… is a link out of the store")
            if path.is_file():
                return path
        raise Unusable(f"the blob sha256-{sha256[:12]}… is missing")


def _name(path: Path) -> Name | None:
    """The name that the last four parts of a manifest's path spell."""
    host, namespace, model, tag = path.parts[-4:]
    try:
        return parse(f"{host}/{namespace}/{model}:{tag}")
    except BadName:
        return None
