"""The RAM disk opened, swept, shared with nobody and closed."""

from pathlib import Path

from hoshikage.ramdisk.copies import MODELS, Copies
from hoshikage.ramdisk.disk import KV
from hoshikage.ramdisk.place import MARK, State
from tests.ramdisk.machines import GB, Made


def copied(folder: Path, source: Path) -> Copies:
    copies = Copies(folder)
    copies.prepare()
    copies.write((source,), lambda _left: None)
    return copies


def snapshot(folder: Path, name: str = "a.kv") -> Path:
    path = folder / KV / "model" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"state")
    return path


def test_a_second_server_on_the_same_path_has_none_and_says_why(made: Made) -> None:
    first, second = made.disk(), made.disk(home="other")
    first.open()
    second.open()
    assert (second.state, second.folder) == (State.OFF, None)
    assert "shm/mine is in use by process" in second.reason
    first.close("done")
    second.open()
    assert second.state is State.MOUNTED


def test_in_shared_memory_two_homes_do_not_meet_but_one_home_is_had_once(made: Made) -> None:
    disks = [made.disk("disk/ram", home=home) for home in ("home", "other", "home")]
    for disk in disks:
        disk.open()
    assert [disk.state for disk in disks] == [State.FALLBACK, State.FALLBACK, State.OFF]


def test_its_capacity_is_capped_at_half_the_memory_and_said(made: Made) -> None:
    disks = [made.disk("shm/a", size_gb=1), made.disk("shm/b", size_gb=100)]
    for disk in disks:
        disk.open()
    assert [disk.capacity for disk in disks] == [GB, made.machine.memory.total() // 2]
    assert "RAMDISK_SIZE=100 is more than half the memory, so it holds 4.0 GB" in disks[1].reason
    assert "RAMDISK_SIZE" not in disks[0].reason


def test_after_a_crash_leftovers_go_and_snapshots_stay(made: Made) -> None:
    disk = made.disk()
    disk.open()
    assert disk.folder is not None
    source = made.root / "m.gguf"
    source.write_bytes(b"weights")
    copied(disk.folder, source)
    (disk.folder / MODELS / "x.partial").mkdir()
    kept, half = snapshot(disk.folder), snapshot(disk.folder, "b.partial")
    foreign = snapshot(disk.folder.parent / "not-a-home" / MODELS)
    other = made.root / "shm/mine/0123456789ab"
    other.mkdir()
    copied(other, source)
    others = snapshot(other)
    assert disk._lock is not None
    disk._lock.release()
    again = made.disk()
    again.open()
    assert (kept.exists(), half.exists(), foreign.exists(), others.exists()) == (True, False, True, True)
    assert len(Copies(disk.folder).all()) == 1
    assert not (disk.folder / MODELS / "x.partial").exists()
    assert not (other / MODELS).exists()


def test_closed_it_leaves_no_folder_but_snapshots_stay(made: Made) -> None:
    disk = made.disk()
    for keeps in (True, False):
        disk.open()
        assert disk.folder is not None
        kept = snapshot(disk.folder)
        if not keeps:
            kept.unlink()
        disk.close("idle")
        assert (kept.exists(), (made.root / "shm/mine").exists()) == (keeps, keeps)
    assert disk.reason == "idle"


def test_opened_twice_it_is_opened_once(made: Made) -> None:
    made.refusal = ""
    disk = made.disk("disk/ram")
    disk.open()
    disk.open()
    assert len(made.ran) == 1
    assert (made.root / "disk/ram" / MARK).exists()


def test_copies_of_homes_that_no_server_has_any_more_go_and_others_stay(made: Made) -> None:
    source = made.root / "m.gguf"
    source.write_bytes(b"weights")
    living, dead = made.disk("disk/ram", home="living"), made.disk("disk/ram", home="dead")
    for disk in (living, dead):
        disk.open()
        assert disk.folder is not None
        copied(disk.folder, source)
    assert dead._lock is not None
    dead._lock.release()
    made.disk("disk/ram").open()
    assert [bool(disk.folder and disk.folder.exists()) for disk in (living, dead)] == [True, False]
