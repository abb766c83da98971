"""The folder of content-addressed files beside the models folder: where the blob of a digest lies. Knows no model."""

import re
from contextlib import suppress
from pathlib import Path

from hoshikage.errors import ManifestUnusable

FOLDER = "blobs"
PARTIAL = "-partial"
LOCK = ".lock"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")


def place(home: Path, digest: str) -> Path:
    """The path of the blob, named as in Ollama's store. Raises ManifestUnusable for what is no digest."""
    return home / FOLDER / f"sha256-{hexadecimal(digest)}"


def hexadecimal(digest: str) -> str:
    """The 64 digits of `sha256:<64 hex>`, in either of its two spellings. Raises ManifestUnusable."""
    if found := _DIGEST.fullmatch(digest):
        return found[1]
    raise ManifestUnusable(reason=f"invalid digest format: {digest[:80]!r}")


def partial(blob: Path) -> Path:
    """What has arrived of a blob that is being fetched."""
    return blob.with_name(f"{blob.name}{PARTIAL}")


def holds(path: Path, size: int) -> bool:
    """Whether a file of this size is there: a blob got its name when its sha256 was right."""
    return path.is_file() and path.stat().st_size == size


def size_of(path: Path) -> int:
    """Bytes of a file that may not be there, or go."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
