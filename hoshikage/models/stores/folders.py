"""Plain folders with GGUF files, named by MODEL_PATHS. A file's name is the model's."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hoshikage.models.entry import Stored
from hoshikage.models.stores.base import Found, Names, examined, part
from hoshikage.models.stores.files import ggufs, walk


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
            for each in ggufs(folder.path, folder.files, related=False):
                described = Stored(path=str(each.path), projectors=each.projectors, origin=f"folder:{folder.path}")
                model, note = examined(described)
                yield Found(name=names.take(part(each.stem)), model=model, note=note)
