"""Builds other tools' stores out of tiny GGUF files, and tells whether anything in one has changed."""

import hashlib
import json
from pathlib import Path
from typing import Any

import gguf

TYPE = "application/vnd.ollama.image."
HOST = "registry.ollama.ai/library"


class OllamaTree:
    """A store in Ollama's layout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs").mkdir(parents=True)

    def blob(self, data: bytes, separator: str = "-") -> Path:
        path = self.root / "blobs" / f"sha256{separator}{hashlib.sha256(data).hexdigest()}"
        path.write_bytes(data)
        return path

    def layer(self, kind: str, data: bytes | str, separator: str = "-") -> dict[str, Any]:
        """Put a blob there; returns its line in a manifest."""
        data = data.encode() if isinstance(data, str) else data
        digest = f"sha256:{self.blob(data, separator).name[7:]}"
        return {"mediaType": f"{TYPE}{kind}", "digest": digest, "size": len(data)}

    def manifest(self, name: str, *layers: dict[str, Any], **config: Any) -> Path:
        """Put a manifest at `name`, `<model>/<tag>` or all four parts; returns its path."""
        described = {"model_format": "gguf", **config}
        made = {"schemaVersion": 2, "config": self.layer("config", json.dumps(described)), "layers": layers}
        return self.raw(name, json.dumps(made))

    def raw(self, name: str, text: str) -> Path:
        path = self.root / "manifests" / (name if name.count("/") == 3 else f"{HOST}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def make_part(path: Path, kind: str) -> Path:
    """A GGUF that is not a model: an `adapter` or an `mmproj`."""
    writer = gguf.GGUFWriter(path, "clip" if kind == "mmproj" else "llama")
    writer.add_type(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def state(root: Path) -> dict[str, tuple[int, int, int, int, str]]:
    """Every path with time, size, inode, mode and content: equal as long as nobody wrote."""
    found = {}
    for path in sorted([root, *root.rglob("*")]):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode, content)
    return found
