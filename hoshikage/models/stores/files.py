"""GGUF files in folders: walked, shards and vision projectors put together. Pure but for the walk; opens no file."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".gguf"
DEPTH = 8
ENTRIES = 100_000
"""Most folders below a root, and most files and folders looked at below it."""
_SHARD = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})", re.DOTALL)
_QUANTIZATION = re.compile(
    r"(?:^|[-_.])((?:UD-)?(?:I?Q[1-8](?:_[A-Z0-9]+){0,3}|TQ[12]_0|BF16|F(?:P)?(?:16|32)|MXFP4(?:_MOE)?|NVFP4))$", re.I
)
_PROJECTOR = "mmproj"
_BEST_PROJECTOR = ("f16", "bf16", "q8_0", "f32")


class Folder(NamedTuple):
    """The GGUF files directly in a folder, sorted; `note` tells why some are left out."""

    path: Path
    files: tuple[Path, ...] = ()
    note: str = ""


class Gguf(NamedTuple):
    """A model's weights: their files, the name without suffix and shard number, and what is missing of them."""

    files: tuple[Path, ...]
    stem: str
    note: str = ""

    @property
    def path(self) -> Path:
        return self.files[0]

    @property
    def quantization(self) -> str:
        """By the file's name, in capitals; empty if it does not say."""
        found = _QUANTIZATION.search(self.stem)
        return found[1].upper() if found else ""

    @property
    def is_projector(self) -> bool:
        return _PROJECTOR in self.stem.lower()

    @property
    def family(self) -> str:
        """What a model's files and its projector's have in common."""
        plain = _QUANTIZATION.sub("", self.stem).lower().replace(_PROJECTOR, "")
        return re.sub(r"[^a-z0-9]", "", plain)


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


def ggufs(paths: Iterable[Path]) -> list[Gguf]:
    """The models in these files, the shards of one as one, projectors among them."""
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        groups.setdefault((path.parent, _of_shards(path)), []).append(path)
    return [_gguf(sorted(files)) for files in groups.values()]


def _of_shards(path: Path) -> str:
    """Equal for the shards of one model."""
    shard = _SHARD.fullmatch(path.stem)
    return f"{shard[1]}/{shard[3]}" if shard else path.name


def _gguf(files: list[Path]) -> Gguf:
    shard = _SHARD.fullmatch(files[0].stem)
    if not shard:
        return Gguf(tuple(files), files[0].stem)
    there = {path.stem[len(shard[1]) + 1 :][:5] for path in files}
    absent = next((n for n in range(1, int(shard[3]) + 1) if f"{n:05}" not in there), None)
    note = f"part {absent} of {int(shard[3])} is missing" if absent else ""
    return Gguf(tuple(files), shard[1], note)


def parted(found: Iterable[Gguf]) -> tuple[list[Gguf], list[Gguf]]:
    """The models, and the projectors."""
    listed = list(found)
    return [each for each in listed if not each.is_projector], [each for each in listed if each.is_projector]


def projector(model: Gguf, among: Iterable[Gguf]) -> tuple[str, ...]:
    """The projector that goes with a model of one repository: one beside it before others, F16 before F32."""

    def rank(each: Gguf) -> tuple[bool, int, str]:
        kind = each.quantization.lower()
        order = _BEST_PROJECTOR.index(kind) if kind in _BEST_PROJECTOR else len(_BEST_PROJECTOR)
        return each.path.parent != model.path.parent, order, str(each.path)

    return tuple(str(each.path) for each in sorted(among, key=rank)[:1])
