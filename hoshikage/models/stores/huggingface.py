"""Hugging Face's cache: models--<org>--<repository>/snapshots/<commit>/**.gguf, links into blobs. Used where it lies.

By plain paths, without the package huggingface_hub.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from msgspec import structs

from hoshikage.models.entry import Stored
from hoshikage.models.links import inside
from hoshikage.models.stores.base import Found, Names, part, reason
from hoshikage.models.stores.files import walk
from hoshikage.models.stores.repository import Repository

HOST = "hf.co"
PREFIX = "models--"
MAIN = "main"
NAMESPACE = "library"
"""Of the few old repositories that have no organisation."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HuggingFace:
    name: ClassVar[str] = "huggingface"
    root: Path

    def models(self) -> Iterator[Found]:
        names = Names()
        for folder in sorted(self.root.glob(f"{PREFIX}*")):
            repo = folder.name.removeprefix(PREFIX).replace("--", "/", 1)
            org, _, repository = repo.rpartition("/")
            name = f"{HOST}/{part(org, dots=False) if org else NAMESPACE}/{part(repository)}"
            try:
                yield from self._of(folder, name, f"hf-cache:{repo}", names)
            except OSError as error:
                model = Stored(path=str(folder), origin=f"hf-cache:{repo}")
                yield Found(name=names.take(f"{name}:folder"), model=model, note=reason(error))

    def _of(self, folder: Path, name: str, origin: str, names: Names) -> Iterator[Found]:
        snapshot = latest(folder)
        if not snapshot:
            return
        folders = list(walk(snapshot))
        repository = Repository(name=name, origin=origin, folder=snapshot)
        for found in repository.models([file for each in folders for file in each.files], names):
            outside = not all(inside(Path(path), self.root) for path in found.model.paths)
            yield structs.replace(found, note="it is a link out of the cache") if outside else found
        for each in folders:
            if each.note:
                yield Found(
                    name=names.take(f"{name}:folder"), model=Stored(path=str(each.path), origin=origin), note=each.note
                )


def latest(folder: Path) -> Path | None:
    """The snapshot that refs/main names, if that is there; else the newest. Raises OSError."""
    main = folder / "refs" / MAIN
    commit = main.read_text("ascii", "replace").strip()[:64] if main.is_file() else ""
    named = folder / "snapshots" / commit
    if _COMMIT.fullmatch(commit) and named.is_dir():
        return named
    found = [each for each in folder.glob("snapshots/*") if each.is_dir()]
    return max(found, key=lambda each: (each.stat().st_mtime_ns, each.name), default=None)
