"""Copies made in the background and given to loads, by budget and memory; the disk emptied by a clock."""

import os
import time
from pathlib import Path

import pytest

from hoshikage.ramdisk.copies import MODELS, Set
from hoshikage.ramdisk.place import State
from hoshikage.ramdisk.store import MINUTE_SECONDS, Store
from tests.ramdisk.machines import MB, Made
from tests.ramdisk.test_disk import snapshot


class Hand:
    """A clock that stands still until it is moved."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Moved:
    """Where snapshots go: remembers the folder they were in, and takes them."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def __call__(self, folder: Path) -> None:
        for path in folder.rglob("*.kv"):
            self.taken.append(path.name)
            path.unlink()


@pytest.fixture
def hand() -> Hand:
    return Hand()


def store(made: Made, hand: Hand, size_gb: float = 0.008, minutes: float = 60) -> Store:
    """With room for 6 MB of copies and 2 MB of snapshots."""
    opened = Store(made.disk(size_gb=size_gb), share=lambda capacity: capacity // 4, idle_minutes=minutes, now=hand)
    opened.open()
    return opened


def model(made: Made, name: str, mb: int = 3) -> Set:
    path = made.root / f"{name}.gguf"
    path.write_bytes(os.urandom(mb * MB))
    return (path,)


def staged(to: Store, *sets: Set) -> dict[Path, Path]:
    """The copies after the background work."""
    to.stage(sets)
    while to.report().staging:
        time.sleep(0.001)
    return to.use("looking", sets)


def test_a_model_is_copied_once_and_given_to_later_loads(made: Made, hand: Hand) -> None:
    opened, files = store(made, hand), model(made, "a")
    assert opened.use("first", [files]) == {}
    copies = staged(opened, files)
    assert copies[files[0]].read_bytes() == files[0].read_bytes()
    before = copies[files[0]].stat().st_ino
    assert staged(opened, files)[files[0]].stat().st_ino == before
    assert opened.report().copies == 3 * MB


def test_a_third_model_takes_the_place_of_the_longest_unused(made: Made, hand: Hand) -> None:
    opened = store(made, hand)
    a, b, c = (model(made, name) for name in "abc")
    for each in (a, b):
        staged(opened, each)
    opened.use("again", [a])
    assert list(staged(opened, c)) == [c[0]]
    assert set(opened.use("looking", [a, b, c])) == {a[0], c[0]}


def test_what_a_load_has_stays_and_the_reason_is_said(made: Made, hand: Hand) -> None:
    opened = store(made, hand)
    a, b = model(made, "a", 4), model(made, "b", 4)
    staged(opened, a)
    opened.enter("worker")
    opened.use("worker", [a])
    assert staged(opened, b) == {}
    assert opened.report().refusal == "b.gguf is not copied: it needs 4 MB, and there is room on the RAM disk for 2 MB"
    opened.leave("worker")
    assert list(staged(opened, b)) == [b[0]]


def test_a_model_with_its_adapter_is_copied_whole_or_not_at_all(made: Made, hand: Hand) -> None:
    opened = store(made, hand)
    weights, adapter = model(made, "w", 4), model(made, "lora", 3)
    assert staged(opened, weights, adapter) == {}
    assert set(staged(opened, weights)) == {weights[0]}


def test_where_memory_is_short_nothing_is_copied_and_it_is_said(made: Made, hand: Hand) -> None:
    made.available = made.total // 10 + 2 * MB
    made.tell()
    opened, files = store(made, hand), model(made, "a")
    assert staged(opened, files) == {}
    assert opened.report().refusal == "a.gguf is not copied: it needs 3 MB, and there is memory for 1 MB"


def test_where_memory_becomes_short_idle_copies_go(made: Made, hand: Hand) -> None:
    opened, files = store(made, hand), model(made, "a")
    staged(opened, files)
    opened.relieve()
    assert opened.report().copies == 3 * MB
    made.available = made.total // 100
    made.tell()
    opened.relieve()
    assert opened.report().copies == 0


def test_the_copy_of_a_deleted_model_goes_unless_it_is_mapped(made: Made, hand: Hand) -> None:
    opened, files = store(made, hand), model(made, "a")
    staged(opened, files)
    opened.enter("worker")
    opened.use("worker", [files])
    files[0].unlink()
    opened.relieve()
    assert opened.report().copies == 3 * MB
    opened.leave("worker")
    opened.relieve()
    assert opened.report().copies == 0


def test_what_lies_in_memory_already_is_not_copied(made: Made, hand: Hand) -> None:
    opened, path = store(made, hand), made.root / "shm/there.gguf"
    path.write_bytes(b"weights")
    assert staged(opened, (path,)) == {}
    assert opened.report().refusal == ""


def test_a_source_that_is_gone_is_said(made: Made, hand: Hand) -> None:
    opened, files = store(made, hand), model(made, "a")
    files[0].unlink()
    assert staged(opened, files) == {}
    assert "No such file" in opened.report().refusal


def test_after_idle_minutes_it_is_emptied_and_snapshots_are_moved_first(made: Made, hand: Hand) -> None:
    opened, files, moved = store(made, hand), model(made, "a"), Moved()
    staged(opened, files)
    folder = opened.disk.folder
    assert folder is not None
    snapshot(folder)
    hand.seconds = 60 * MINUTE_SECONDS - 1
    assert not opened.due
    hand.seconds += 1
    assert opened.due
    assert opened.empty(moved, "idle")
    assert (moved.taken, folder.parent.exists(), opened.due) == (["a.kv"], False, False)


def test_while_somebody_uses_it_it_is_not_idle(made: Made, hand: Hand) -> None:
    opened, moved = store(made, hand, minutes=1), Moved()
    opened.enter("worker")
    hand.seconds = 100 * MINUTE_SECONDS
    assert not opened.due
    assert not opened.empty(moved, "idle")
    opened.leave("worker")
    assert not opened.due
    hand.seconds += MINUTE_SECONDS
    assert opened.due


def test_a_load_after_the_emptying_has_the_disk_again(made: Made, hand: Hand) -> None:
    opened, files = store(made, hand, minutes=0), model(made, "a")
    opened.empty(Moved(), "emptied after 0 idle minutes")
    assert (opened.disk.folder, opened.report().reason) == (None, "emptied after 0 idle minutes")
    opened.use("load", [files])
    assert opened.disk.folder is not None
    assert list(staged(opened, files)) == [files[0]]


def test_emptying_ends_a_copying_that_runs_and_leaves_nothing(made: Made, hand: Hand) -> None:
    opened, files = store(made, hand, size_gb=1), model(made, "a", 200)
    opened.stage([files])
    while not list((made.root / "shm").rglob("*.partial")):
        pass
    opened.close(Moved())
    assert (opened.report().state, opened.report().staging) == (State.MOUNTED, False)
    assert not list((made.root / "shm").rglob(MODELS))


def test_a_copy_that_could_not_be_loaded_is_dropped(made: Made, hand: Hand) -> None:
    opened, files = store(made, hand), model(made, "a")
    staged(opened, files)
    opened.enter("worker")
    opened.use("worker", [files])
    opened.drop("worker")
    assert opened.report().copies == 0
