"""What goes when a model is deleted: only files that we brought into our own folders and that no other entry uses."""

import logging
import time
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from hoshikage.models.blobs import LOCK, PARTIAL
from hoshikage.models.entry import Entry
from hoshikage.models.links import inside
from hoshikage.models.registry import Registry

log = logging.getLogger("hoshikage.models")

FORGOTTEN_SECONDS = 3600.0
"""How long an uploaded blob waits for the model that it is for."""


UPLOAD = ".upload-"
"""How the name of a file starts that is being received or quantized."""


class Deleted(Struct, frozen=True, kw_only=True):
    """The entry that was, and what became of its files."""

    entry: Entry
    deleted: tuple[Path, ...]
    kept: tuple[Path, ...]


def delete(registry: Registry, name: str) -> Deleted:
    """Unregister a model and delete what was fetched for it alone. Raises ModelNotFound or BadName.

    The files go first: a full disk then has room for the shorter map, and a kill between leaves an entry without its
    files, which can be deleted again, in place of files that nothing names.
    """
    with registry.locked():
        entry = registry.find(name)
        others = [each for each in registry.entries() if each.name != entry.name]
        gone = tuple(path for path in entry.files if goes(path, entry, registry, others))
        for path in gone:
            path.unlink(missing_ok=True)
        registry.remove(name)
    return Deleted(entry=entry, deleted=gone, kept=tuple(each for each in entry.files if each.exists()))


def sweep(registry: Registry, before: Entry | None) -> None:
    """Delete what an entry had before it was replaced and nothing uses any more."""
    if before is None:
        return
    with registry.locked():
        for path in before.files:
            if goes(path, before, registry, registry.entries()):
                path.unlink(missing_ok=True)


def goes(path: Path, entry: Entry, registry: Registry, others: Iterable[Entry]) -> bool:
    """Whether a file goes with its entry: weights from our two folders, what is beside them only from the blobs, since
    an adapter among the models was put there by the user."""
    weights = str(path) in entry.stored.weights
    folders = (registry.files.models, registry.files.blobs) if weights else (registry.files.blobs,)
    ours = entry.stored.fetched and any(inside(path, folder) for folder in folders)
    return ours and path.is_file() and not used(path, others)


def used(path: Path, entries: Iterable[Entry]) -> bool:
    """Whether an entry has the file, by whatever path."""
    real = path.resolve()
    return any(real == file.resolve() for entry in entries for file in entry.files)


def prune(registry: Registry) -> None:
    """Delete uploads that no entry uses, whole or not, once they are an hour old; not what a pull may go on with."""
    kept = {file.resolve() for entry in registry.entries() for file in entry.files}
    blobs = registry.files.blobs
    for blob in [*blobs.glob("sha256-*"), *blobs.glob(f"{UPLOAD}*")]:
        if blob.name.endswith((PARTIAL, LOCK)):  # a lock that goes while it is held is held by nobody
            continue
        try:
            if time.time() - blob.stat().st_mtime > FORGOTTEN_SECONDS and blob.resolve() not in kept:
                log.info("%s is used by no model and goes", blob)
                blob.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: %s", blob, error)
