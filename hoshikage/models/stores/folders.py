"""Plain folders with GGUF files, named by MODEL_PATHS. A file's name is the model's."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hoshikage.models.entry import Stored
from hoshikage.models.stores.base import Found, Names, examined, part
from hoshikage.models.stores.files import Folder, Gguf, ggufs, parted, projector, walk


@dataclass(frozen=True, slots=True)
class Folders:
    name: ClassVar[str] = "folders"
    root: Path

    def models(self) -> Iterator[Found]:
        names = Names()
        for folder in walk(self.root):
            if folder.note:
                model = Stored(path=str(folder.path), origin=f"folder:{folder.path}")
                yield Found(name=names.take(part(folder.path.name)), model=model, note=folder.note)
            yield from _models(folder, names)


def _models(folder: Folder, names: Names) -> Iterator[Found]:
    models, projectors = parted(ggufs(folder.files))
    families = {each.family for each in models}
    for each in models:
        fitting = [other for other in projectors if _fits(other.family, each, families)]
        model = Stored(path=str(each.path), projectors=projector(each, fitting), origin=f"folder:{folder.path}")
        model, note = (model, each.note) if each.note else examined(model, each.files)
        yield Found(name=names.take(part(each.stem)), model=model, note=note)


def _fits(family: str, model: Gguf, families: set[str]) -> bool:
    """A projector without a name of its own belongs to the only model there; unrelated models may lie side by side."""
    return family == model.family or (not family and len(families) == 1)
