"""Copies with manifests: whole or not there, and only as long as their sources stay what they were."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hoshikage.ramdisk.copies import CHUNK_BYTES, MANIFEST, MODELS, Changed, Copies, Set

SIZE = 3 * CHUNK_BYTES + 5


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    (tmp_path / "ram").mkdir()
    made = Copies(tmp_path / "ram")
    made.prepare()
    return made


@pytest.fixture
def files(tmp_path: Path) -> Set:
    """Two shards."""
    paths = tuple(tmp_path / f"m-0000{index}-of-00002.gguf" for index in (1, 2))
    for path in paths:
        path.write_bytes(os.urandom(SIZE))
    return paths


def nothing(_left: int) -> None:
    pass


def test_shards_lie_side_by_side_under_their_names(copies: Copies, files: Set) -> None:
    told: list[int] = []
    made = copies.write(files, told.append)
    assert made.size == 2 * SIZE
    assert [(made.first.parent / path.name).read_bytes() for path in files] == [path.read_bytes() for path in files]
    assert (told[0], told[-1]) == (2 * SIZE - CHUNK_BYTES, 0)
    assert copies.find(files) == made


@pytest.mark.parametrize("change", ["size", "mtime", "inode"])
def test_a_stale_copy_is_removed_and_replaced(copies: Copies, files: Set, change: str) -> None:
    copies.write(files, nothing)
    source, status = files[1], files[1].stat()
    if change == "inode":
        source.rename(source.with_suffix(".old"))
    if change != "mtime":
        source.write_bytes(os.urandom(SIZE + (change == "size")))
    os.utime(source, ns=(0, status.st_mtime_ns + (change == "mtime")))
    assert copies.find(files) is None
    assert copies.all() == []
    made = copies.write(files, nothing)
    assert (made.first.parent / source.name).read_bytes() == source.read_bytes()


def change_first(files: Set) -> Callable[[int], None]:
    return lambda left: os.utime(files[0], ns=(1, left))


def test_what_changes_while_it_is_copied_is_not_published(copies: Copies, files: Set) -> None:
    with pytest.raises(Changed):
        copies.write(files, change_first(files))
    assert copies.all() == []


def test_a_copying_that_is_ended_leaves_nothing(copies: Copies, files: Set, tmp_path: Path) -> None:
    def end(_left: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        copies.write(files, end)
    assert not list((tmp_path / "ram" / MODELS).iterdir())


def test_where_the_disk_is_gone_nothing_is_written(tmp_path: Path, files: Set) -> None:
    with pytest.raises(FileNotFoundError):
        Copies(tmp_path / "ram").write(files, nothing)
    assert not (tmp_path / "ram").exists()


@pytest.mark.parametrize("damage", ["no manifest", "half a manifest", "short copy", "source gone", "half copy"])
def test_leftovers_are_swept_and_whole_copies_stay(copies: Copies, files: Set, damage: str) -> None:
    whole, broken = copies.write(files[:1], nothing), copies.write(files[1:], nothing)
    manifest = broken.first.with_name(MANIFEST)
    match damage:
        case "no manifest":
            manifest.unlink()
        case "half a manifest":
            os.truncate(manifest, 20)
        case "short copy":
            os.truncate(broken.first, SIZE - 1)
        case "source gone":
            files[1].unlink()
        case _:
            broken.first.parent.rename(broken.first.parent.with_suffix(".partial"))
    assert len(copies.sweep()) == 1
    assert copies.all() == [whole]
    assert len(list(whole.first.parent.parent.iterdir())) == 1


def test_copies_are_for_their_user_only(copies: Copies, files: Set) -> None:
    made = copies.write(files, nothing)
    assert {path.stat().st_mode & 0o077 for path in (made.first, made.first.parent, made.first.parent.parent)} == {0}
