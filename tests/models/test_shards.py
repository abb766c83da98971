"""Models in several files: which they are, what they are together, and what is refused."""

import shutil
from pathlib import Path

import pytest

from fixtures.split_gguf import split
from fixtures.tiny_gguf import make_tiny
from hoshikage.errors import FileMissing, NotGguf
from hoshikage.models.gguf import read_header
from hoshikage.models.shards import Whole, shards, whole


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "tiny.gguf")


@pytest.fixture
def parts(tiny: Path) -> list[Path]:
    return split(tiny, 3)


def test_a_single_file_is_its_own_only_part(tiny: Path) -> None:
    header = read_header(tiny)
    assert shards(tiny, header) == (tiny,)
    assert whole(tiny, header) == Whole(tiny.stat().st_size, header.parameter_count, (tiny,))


def test_all_parts_count_together(tiny: Path, parts: list[Path]) -> None:
    found = whole(parts[0], read_header(parts[0]))
    assert found.paths == tuple(parts)
    assert found.size == sum(each.stat().st_size for each in parts)
    assert found.parameter_count == read_header(tiny).parameter_count > read_header(parts[0]).parameter_count


def test_a_missing_part_is_named(parts: list[Path]) -> None:
    parts[1].unlink()
    with pytest.raises(FileMissing, match=r"tiny-00002-of-00003\.gguf"):
        shards(parts[0], read_header(parts[0]))


def test_another_part_than_the_first_is_refused_with_the_firsts_name(parts: list[Path]) -> None:
    with pytest.raises(NotGguf, match=r"it is part 3 of 3; name the first, tiny-00001-of-00003\.gguf"):
        shards(parts[2], read_header(parts[2]))


def test_a_part_under_another_name_is_refused_since_llama_cpp_would_not_find_the_rest(parts: list[Path]) -> None:
    renamed = parts[0].rename(parts[0].with_name("renamed.gguf"))
    with pytest.raises(NotGguf, match=r"its name must end in -00001-of-00003\.gguf"):
        shards(renamed, read_header(renamed))


def test_a_part_in_the_place_of_another_is_refused(parts: list[Path]) -> None:
    shutil.copyfile(parts[2], parts[1])
    with pytest.raises(NotGguf, match=r"00002-of-00003\.gguf is not a usable GGUF file: its header does not say"):
        whole(parts[0], read_header(parts[0]))


def test_fewer_tensors_than_the_first_part_says_are_refused(parts: list[Path]) -> None:
    header = read_header(parts[0])
    header.metadata["split.tensors.count"] = 22
    with pytest.raises(NotGguf, match="its parts have 21 tensors together, 22 are expected"):
        whole(parts[0], header)


@pytest.mark.parametrize(("number", "count"), [(0, 2**40), (3, 3), (-1, 3)])
def test_lying_numbers_are_refused(parts: list[Path], number: int, count: int) -> None:
    header = read_header(parts[0])
    header.metadata.update({"split.no": number, "split.count": count})
    with pytest.raises(NotGguf, match="it claims to be part"):
        shards(parts[0], header)
