"""The snapshot file: whole, verified, gone when it is wrong."""

import ctypes
import errno
import os
import random
import shutil
import stat
from pathlib import Path

import pytest

from hoshikage.engine.prefix import Reuse
from hoshikage.engine.shelf import Place, Shelf, retire
from hoshikage.engine.snapshots import Part, Refusal, SnapshotRefused, opened, preface, read_header

MODEL = b"m" * 16
MB = 1 << 20


def shelf(folder: Path, *, budget: int = MB, window: int | None = None, model: bytes = MODEL) -> Shelf:
    folder.mkdir(exist_ok=True)
    return Shelf([Place(folder, budget, Reuse.HIT_SNAPSHOT)], model, window)


def write(on: Shelf, tokens: list[int], *, owner: str = "a", size: int = 3000, marks: tuple[int, ...] = ()) -> bool:
    parts = [Part(len(tokens), size), *(Part(mark, 500) for mark in marks)]
    with on.writing(owner, tokens, parts) as writer:
        if writer is None:
            return False
        for index, part in enumerate(parts):
            ctypes.memmove(writer.address(index), bytes([index + 1]) * part.size, part.size)
    return True


def only_file(folder: Path) -> Path:
    (found,) = folder.rglob("*.kv")
    return found


def test_what_was_written_is_read_by_another_shelf(tmp_path: Path) -> None:
    write(shelf(tmp_path), [1, 2, 3, 4], marks=(2,))
    again = shelf(tmp_path)
    saved = again.find("a", [1, 2, 3, 9])
    assert saved is not None
    assert (saved.length, saved.cells, saved.tier) == (3, 4, Reuse.HIT_SNAPSHOT)
    expected = b"\1" * 3000 + b"\2" * 500
    used = again.read(saved.key, "a", [1, 2, 3], lambda reader: reader.bytes(0) + reader.bytes(1) == expected)
    assert used == 1


def test_files_are_for_their_user_only(tmp_path: Path) -> None:
    os.umask(os.umask(0))
    write(shelf(tmp_path), [1, 2, 3])
    file = only_file(tmp_path)
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)


def test_under_a_window_only_whole_states_and_checkpoints_count(tmp_path: Path) -> None:
    on = shelf(tmp_path, window=10)
    write(on, [*range(100)], marks=(30, 60))
    lengths = []
    for shared in (20, 30, 59, 60, 99, 100):
        found = on.find("a", [*range(shared), -1])
        assert found is not None
        lengths.append(found.length)
    assert lengths == [0, 30, 30, 60, 60, 100]


def test_owners_do_not_find_each_other(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    write(on, [*range(20)])
    assert on.find("b", [*range(20)]) is None
    assert on.foreign("b", [*range(20)])
    assert not on.foreign("a", [*range(20)])


def refusal(file: Path) -> Refusal | None:
    try:
        with opened(file) as reader:
            for index in range(len(reader.header.parts)):
                reader.address(index)
    except SnapshotRefused as refused:
        return refused.code
    return None


def test_every_flipped_byte_of_the_header_and_of_the_body_is_refused(tmp_path: Path) -> None:
    write(shelf(tmp_path), [1, 2, 3, 4], marks=(2,))
    file = only_file(tmp_path)
    good, head = file.read_bytes(), len(preface(read_header(file)))
    body = random.Random(1).sample(range(head, len(good)), 200)
    for at in [*range(head), *body]:
        file.write_bytes(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :])
        expected = Refusal.MAGIC if at < 8 else Refusal.HEADER if at < head else Refusal.BODY
        assert refusal(file) is expected, at
    file.write_bytes(good[:-1])
    assert refusal(file) is Refusal.LENGTH
    file.write_bytes(good)
    assert refusal(file) is None


@pytest.mark.parametrize("at", [0, 20, 40, -1])
def test_a_damaged_file_is_removed_and_its_reason_logged(
    tmp_path: Path, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    on = shelf(tmp_path)
    write(on, [1, 2, 3, 4])
    saved, file = on.find("a", [1, 2, 3, 4, 5]), only_file(tmp_path)
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    assert saved is not None
    assert on.read(saved.key, "a", [1, 2], lambda reader: reader.address(0)) == 0
    assert not file.exists()
    assert caplog.messages[0].endswith({0: "magic", 20: "header", 40: "header", -1: "body"}[at])
    assert on.find("a", [1, 2, 3, 4, 5]) is None


@pytest.mark.parametrize(
    ("owner", "tokens", "model", "code"),
    [("b", [1, 2], MODEL, "owner"), ("a", [1, 3], MODEL, "tokens"), ("a", [1, 2], b"x" * 16, "model")],
)
def test_a_foreign_file_under_our_name_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, owner: str, tokens: list[int], model: bytes, code: str
) -> None:
    on = shelf(tmp_path)
    write(on, [1, 2, 3])
    saved, file = on.find("a", [1, 2, 3, 4]), only_file(tmp_path)
    other = shelf(tmp_path / "other", model=model)
    write(other, [*tokens, 3], owner=owner)
    only_file(tmp_path / "other").replace(file)
    assert saved is not None
    assert on.read(saved.key, "a", [1, 2], lambda _reader: 2) == 0
    assert caplog.messages[0].endswith(code)


def test_a_longer_one_replaces_a_shorter_one_of_the_same_conversation(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    write(on, [1, 2, 3])
    write(on, [1, 2, 3, 4, 5])
    write(on, [1, 2, 9, 9])
    assert len(list(tmp_path.rglob("*.kv"))) == 2


def test_the_same_conversation_written_again_stays(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    for _ in range(2):
        write(on, [1, 2, 3])
    assert only_file(tmp_path)
    assert on.find("a", [1, 2, 3, 4]) is not None


def test_the_longest_unused_goes_when_the_budget_is_full(tmp_path: Path) -> None:
    on = shelf(tmp_path, budget=10_000)
    for first in range(5):
        write(on, [first, 2, 3])
        os.utime(next(iter(tmp_path.rglob(f"{on.find('a', [first, 2, 3, 4]).key}.kv"))), (first, first))  # type: ignore[union-attr]
    assert [on.find("a", [first, 2, 3, 4]) is not None for first in range(5)] == [False, False, True, True, True]


def test_what_is_larger_than_the_budget_is_not_written(tmp_path: Path) -> None:
    assert not write(shelf(tmp_path, budget=1000), [1, 2, 3])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_full_disk_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _start: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not write(shelf(tmp_path), [1, 2, 3])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_write_that_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    with pytest.raises(ZeroDivisionError), on.writing("a", [1, 2], [Part(2, 100)]):
        raise ZeroDivisionError
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_snapshot_that_has_made_room_for_another_is_a_miss(tmp_path: Path) -> None:
    on = shelf(tmp_path, budget=4000)
    write(on, [1, 2, 3])
    found = on.find("a", [1, 2, 3, 4])
    write(on, [7, 8, 9])
    assert found is not None
    assert on.read(found.key, "a", [1, 2, 3], lambda _reader: 3) == 0


def test_a_folder_that_is_taken_away_while_writing_is_no_crash(tmp_path: Path) -> None:
    on = shelf(tmp_path)
    with on.writing("a", [1, 2, 3], [Part(3, 100)]) as writer:
        assert writer is not None
        shutil.rmtree(tmp_path / "kv")
    assert not writer.published
    assert on.find("a", [1, 2, 3, 4]) is None
    assert write(on, [1, 2, 3])


def test_what_cannot_be_moved_to_the_home_stays_on_the_ram_disk(tmp_path: Path) -> None:
    write(shelf(tmp_path / "ram"), [1, 2, 3])
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "kv").write_bytes(b"in the way")
    retire(tmp_path / "ram", tmp_path / "disk", MB)
    assert only_file(tmp_path / "ram")


def test_partial_files_of_a_killed_worker_are_swept(tmp_path: Path) -> None:
    write(shelf(tmp_path), [1, 2, 3])
    left = only_file(tmp_path).with_name("dead.partial")
    left.write_bytes(b"x")
    shelf(tmp_path)
    assert not left.exists()
    assert only_file(tmp_path)


def test_snapshots_move_to_the_home_and_are_found_there(tmp_path: Path) -> None:
    ram, disk = tmp_path / "ram", tmp_path / "disk"
    on = shelf(ram)
    for first in range(3):
        write(on, [first, 2, 3])
        os.utime(next(iter(ram.rglob(f"{on.find('a', [first, 2, 3, 4]).key}.kv"))), (first, first))  # type: ignore[union-attr]
    retire(ram, disk, 7000)
    places = [Place(ram, MB, Reuse.HIT_SNAPSHOT), Place(disk, 7000, Reuse.HIT_DISK)]
    again = Shelf(places, MODEL, None)
    found = [again.find("a", [first, 2, 3, 4]) for first in range(3)]
    assert [saved and saved.tier for saved in found] == [None, Reuse.HIT_DISK, Reuse.HIT_DISK]
    assert not list(ram.rglob("*.kv"))
