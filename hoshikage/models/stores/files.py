"""GGUF files in folders: walked, shards and vision projectors put together. Opens no file."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hoshikage.models.hubs.hf_choice import File, grouped, label_of, projector_of

SUFFIX = ".gguf"
DEPTH = 8
ENTRIES = 100_000
"""Most folders below a root, and most files and folders looked at below it."""


class Folder(NamedTuple):
    """The GGUF files directly in a folder, sorted; `note` tells why some are left out."""

    path: Path
    files: tuple[Path, ...] = ()
    note: str = ""


def walk(root: Path) -> Iterator[Folder]:
    """The folders below `root` that have GGUF files, or that could not be read. Links are followed, each folder once.

    What is hidden is passed over. A root that is not there has none.
    """
    waiting, seen, left = [(root, 0)], set[tuple[int, int]](), ENTRIES
    while waiting and left > 0:
        path, depth = waiting.pop()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            folders, files, count = _listed(path, left)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                yield Folder(path, note=f"the folder cannot be read: {error.strerror}")
            continue
        left -= count
        waiting += [(each, depth + 1) for each in reversed(folders) if depth < DEPTH]
        deep = f"folders more than {DEPTH} deep are left out" if folders and depth == DEPTH else ""
        if files or deep:
            yield Folder(path, tuple(files), deep)
    if waiting or left <= 0:
        yield Folder(root, note=f"it has more than {ENTRIES} files; the rest is left out")


def _listed(path: Path, limit: int) -> tuple[list[Path], list[Path], int]:
    """The folders and the GGUF files in a folder, sorted, and the number of all its entries up to the limit."""
    with os.scandir(path) as entries:
        found = sorted(islice(entries, limit), key=lambda each: each.name)
    seen = [each for each in found if not each.name.startswith(".")]
    folders = [Path(each.path) for each in seen if _is_folder(each)]
    files = [Path(each.path) for each in seen if each.name.lower().endswith(SUFFIX) and not _is_folder(each)]
    return folders, files, len(found)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """A loop of links is none."""
    try:
        return stat.S_ISDIR(entry.stat().st_mode)
    except OSError:
        return False


class Gguf(NamedTuple):
    """A model in a folder: its first file, its name without suffix and part number, its quantization by its name."""

    path: Path
    stem: str
    label: str
    projectors: tuple[str, ...] = ()


def ggufs(folder: Path, paths: Iterable[Path], *, related: bool) -> Iterator[Gguf]:
    """The models among these files below `folder`, as the Hugging Face hub's are chosen: shards as one, by path.

    A projector goes with any model of `related` files; of others with those it is named after, or the only one.
    """
    files = [File(path=path.relative_to(folder).as_posix(), size=0, digest="") for path in paths]
    models = grouped(files)
    families = {family(model.stem) for model in models}
    for model in models:
        fitting = {family(model.stem)} | ({""} if len(families) == 1 else set())
        projector, _ = projector_of(model, [each for each in files if related or family(each.path) in fitting])
        beside = (str(folder / projector.path),) if projector else ()
        yield Gguf(folder / model.files[0].path, PurePosixPath(model.stem).name, model.label, beside)


def family(path: str) -> str:
    """What the names of a model's files and of its projector's have in common."""
    name = PurePosixPath(path).name.lower().removesuffix(SUFFIX)
    return re.sub(r"mmproj|[^a-z0-9]", "", name.replace(label_of(name).lower(), ""))
