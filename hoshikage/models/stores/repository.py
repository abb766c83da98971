"""The files of one repository as models of one name, told apart by their tags. Knows no store."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from hoshikage.models.entry import Stored
from hoshikage.models.stores.base import Found, Names, examined, part
from hoshikage.models.stores.files import Gguf, ggufs


class Repository(Struct, frozen=True, kw_only=True):
    """`name` without a tag; `origin` is what stands before a file's path below `folder`."""

    name: str
    origin: str
    folder: Path

    def models(self, paths: Iterable[Path], names: Names) -> Iterator[Found]:
        """Each model under its quantization, or under its file's name where two have the same."""
        found = list(ggufs(self.folder, paths, related=True))
        checked = [examined(self._stored(each)) for each in found]
        tags = [each.label or _quantization(model) for each, (model, _) in zip(found, checked, strict=True)]
        shared = {tag for tag, many in Counter(tags).items() if many > 1}
        for each, (model, note), tag in zip(found, checked, tags, strict=True):
            own = part(each.stem) if not tag or tag in shared else part(tag)
            yield Found(name=names.take(f"{self.name}:{own}"), model=model, note=note)

    def _stored(self, found: Gguf) -> Stored:
        origin = f"{self.origin}/{found.path.relative_to(self.folder).as_posix()}"
        return Stored(path=str(found.path), projectors=found.projectors, origin=origin)


def _quantization(model: Stored) -> str:
    """By the header; empty if it does not say."""
    level = model.facts.quantization_level
    return "" if level == "unknown" else level
