"""A model that lies in several files, `x-00001-of-0000N.gguf` and on, and is loaded by the first. Knows no engine.

The names are llama.cpp's (`llama_split_path`), the keys those of its gguf-split.
"""

import os
from pathlib import Path

from msgspec import Struct

from hoshikage.errors import FileMissing, NotGguf
from hoshikage.models.gguf import Header, read_header

COUNT_LIMIT = 65_535  # split.count is a uint16


class Whole(Struct, frozen=True):
    """All files of a model: their bytes and parameters together, and their paths, the one to load first."""

    size: int
    parameter_count: int
    paths: tuple[Path, ...]


def shards(path: Path, header: Header) -> tuple[Path, ...]:
    """All files of the model whose first one is `path`; a single file gives itself.

    Raises FileMissing naming the first that is not there, NotGguf if `path` is not the first or is not named as
    llama.cpp needs it.
    """
    count, number = header.integer("split.count"), header.integer("split.no")
    if count <= 1:
        return (path,)
    numbers = _numbers(number, count)
    if count > COUNT_LIMIT or not 0 <= number < count:
        raise NotGguf(path=path, reason=f"it claims to be part {number + 1} of {count}")
    if not path.name.endswith(numbers):
        raise NotGguf(path=path, reason=f"it is part {number + 1} of {count}, so its name must end in {numbers}")
    stem = str(path).removesuffix(numbers)
    paths = tuple(map(Path, named(stem + _numbers(0, count), count)))
    if number:
        raise NotGguf(path=path, reason=f"it is part {number + 1} of {count}; name the first, {paths[0].name}")
    for each in paths:
        if not os.path.isfile(each):  # noqa: PTH113 - Path.is_file raises for a name that is too long
            raise FileMissing(path=each)
    return paths


def named(first: str, count: int) -> tuple[str, ...]:
    """The paths of so many shards, by that of the first."""
    stem = first.removesuffix(_numbers(0, count))
    return tuple(stem + _numbers(index, count) for index in range(count)) if count > 1 else (first,)


def whole(path: Path, header: Header) -> Whole:
    """What the files of a model are together; reads the headers of all but the first.

    Raises FileMissing, or NotGguf if one is damaged or of another model.
    """
    paths = shards(path, header)
    headers = [header, *(read_header(each) for each in paths[1:])]
    if len(paths) > 1:
        _check(paths, headers)
    return Whole(sum(each.stat().st_size for each in paths), sum(each.parameter_count for each in headers), paths)


def _numbers(index: int, count: int) -> str:
    return f"-{index + 1:05d}-of-{count:05d}.gguf"


def _check(paths: tuple[Path, ...], headers: list[Header]) -> None:
    for index, (path, header) in enumerate(zip(paths, headers, strict=True)):
        if (header.integer("split.no"), header.integer("split.count")) != (index, len(paths)):
            raise NotGguf(path=path, reason=f"its header does not say that it is part {index + 1} of {len(paths)}")
    wanted, found = headers[0].integer("split.tensors.count"), sum(len(each.tensors) for each in headers)
    if found != wanted:
        raise NotGguf(path=paths[0], reason=f"its parts have {found} tensors together, {wanted} are expected")
