"""LM Studio's tree: <publisher>/<repository>/<file>.gguf, projectors beside the models. Used where it lies."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from hoshikage.models.entry import Stored
from hoshikage.models.stores.base import Found, Names, part
from hoshikage.models.stores.files import Folder, walk
from hoshikage.models.stores.repository import Repository


@dataclass(frozen=True, slots=True)
class LmStudio:
    name: ClassVar[str] = "lmstudio"
    root: Path

    def models(self) -> Iterator[Found]:
        names = Names()
        for key, folders in groupby(walk(self.root), key=self._repository):
            listed = list(folders)
            for folder in listed:
                if folder.note:
                    model = Stored(path=str(folder.path), origin=f"{self.name}:{'/'.join(key)}")
                    yield Found(name=names.take(f"{_name(key)}:folder"), model=model, note=folder.note)
            place = self.root.joinpath(*key)
            repository = Repository(name=_name(key), origin=f"{self.name}:{'/'.join(key) or '.'}", folder=place)
            yield from repository.models([file for each in listed for file in each.files], names)

    def _repository(self, folder: Folder) -> tuple[str, ...]:
        """Publisher and repository; fewer for files that lie above where LM Studio puts them."""
        return folder.path.relative_to(self.root).parts[:2]


def _name(key: tuple[str, ...]) -> str:
    match key:
        case (publisher, repository):
            return f"{part(publisher, dots=False)}/{part(repository)}"
        case (folder,):
            return part(folder)
        case _:
            return "lmstudio"
