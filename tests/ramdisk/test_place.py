"""Which folder is the RAM disk: RAMDISK_PATH, shared memory or none, each with its reason."""

import os
import stat
from pathlib import Path

import pytest

from hoshikage.ramdisk.place import MARK, State, Wish, expected, find, unmount
from tests.ramdisk.machines import MB, Made


def test_a_mounted_tmpfs_is_used_in_a_folder_of_this_users_own(made: Made) -> None:
    found = find(made.wish("shm"), made.machine)
    assert (found.state, found.base) == (State.MOUNTED, made.root / f"shm/hoshikage-{os.getuid()}")
    assert stat.S_IMODE((made.root / "shm").stat().st_mode) == 0o755
    assert not made.ran


def test_a_private_folder_in_memory_is_used_as_it_is(made: Made) -> None:
    found = find(made.wish("shm/mine"), made.machine)
    assert (found.base, found.locked) == (made.root / "shm/mine", made.root / "shm/mine")
    assert stat.S_IMODE((made.root / "shm/mine").stat().st_mode) == 0o700


def test_what_is_on_a_disk_is_mounted_and_marked(made: Made) -> None:
    made.refusal = ""
    found = find(made.wish(), made.machine)
    assert found.state is State.MOUNTED
    options = "size=2G,mode=0700,uid=1000,gid=1000"
    path = str(made.root / "disk/ram")
    assert made.ran == [["sudo", "-n", "/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", path]]
    assert (made.root / "disk/ram" / MARK).exists()


def test_more_than_half_the_memory_is_not_mounted(made: Made) -> None:
    made.refusal = ""
    find(made.wish(size_gb=12), made.machine)
    assert f"size={made.machine.memory.total() // 2 >> 20}M" in made.ran[0][-3]


def test_where_mounting_is_not_allowed_shared_memory_is_used_and_the_command_told(made: Made) -> None:
    found = find(made.wish(), made.machine)
    assert (found.state, found.base) == (State.FALLBACK, made.root / f"shm/hoshikage-{os.getuid()}")
    assert "(not allowed); run: sudo /bin/mount -t tmpfs -o size=2G,mode=0700,uid=1000,gid=1000" in found.reason
    assert found.locked is not None
    assert stat.S_IMODE(found.locked.stat().st_mode) == 0o700


def test_a_mount_point_that_cannot_be_made_is_told_with_its_command(made: Made) -> None:
    (made.root / "disk/file").write_bytes(b"")
    found = find(made.wish("disk/file/my ram"), made.machine)
    assert found.state is State.FALLBACK
    assert f"run: sudo mkdir -p '{made.root}/disk/file/my ram'" in found.reason
    assert not made.ran


def test_nothing_is_mounted_over_files(made: Made) -> None:
    (made.root / "disk/letters.txt").write_text("Dear")
    found = find(made.wish("disk"), made.machine)
    assert (found.state, made.ran) == (State.FALLBACK, [])
    assert "is not empty" in found.reason


def test_without_shared_memory_there_is_none(made: Made) -> None:
    (made.root / "mounts").write_text("/dev/x / ext4 rw 0 0\n")
    found = find(made.wish(), made.machine)
    assert (found.state, found.base) == (State.OFF, None)
    assert "not allowed" in found.reason
    assert "shm is not in memory either" in found.reason


@pytest.mark.parametrize(("path", "size"), [(None, 2.0), (Path("/x"), 0.0)])
def test_it_can_be_turned_off(made: Made, path: Path | None, size: float) -> None:
    wish = Wish(path, size, made.root)
    assert find(wish, made.machine).state is expected(wish, made.machine)[0] is State.OFF
    assert not made.ran


@pytest.mark.parametrize("trap", ["link", "file"])
def test_what_somebody_has_put_in_its_place_is_not_used(made: Made, trap: str) -> None:
    ours = made.root / f"shm/hoshikage-{os.getuid()}"
    ours.symlink_to(made.root / "home") if trap == "link" else ours.write_bytes(b"")
    found = find(made.wish(), made.machine)
    assert (found.state, found.base) == (State.OFF, None)
    assert not list((made.root / "home").iterdir())


def test_a_folder_that_others_could_read_is_closed(made: Made) -> None:
    ours = made.root / f"shm/hoshikage-{os.getuid()}"
    ours.mkdir(mode=0o755)
    assert find(made.wish(), made.machine).base == ours
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700


def test_where_others_may_replace_a_folder_it_is_not_trusted(made: Made) -> None:
    (made.root / "shm").chmod(0o777)
    assert find(made.wish(), made.machine).state is State.OFF
    (made.root / "shm").chmod(0o1777)
    assert find(made.wish(), made.machine).state is State.FALLBACK


def test_two_homes_have_two_folders(made: Made) -> None:
    keys = [made.wish(home=name).key for name in ("a", "b", "a")]
    assert (keys[0] == keys[1], keys[0] == keys[2]) == (False, True)


def test_only_what_hoshikage_has_mounted_and_nobody_else_uses_is_unmounted(made: Made) -> None:
    made.refusal, disk = "", made.root / "shm"
    assert "was not mounted by hoshikage" in unmount(disk, made.machine)
    (disk / MARK).touch()
    (disk / "letters.txt").touch()
    assert "letters.txt" in unmount(disk, made.machine)
    (disk / "letters.txt").unlink()
    assert unmount(disk, made.machine) == ""
    assert made.ran == [["sudo", "-n", "/bin/umount", str(disk)]]


def test_doctor_is_told_what_a_server_would_find_and_nothing_is_made(made: Made) -> None:
    assert expected(made.wish("shm"), made.machine)[0] is State.MOUNTED
    state, reason = expected(made.wish(), made.machine)
    assert (state, made.ran[0][:4]) == (State.FALLBACK, ["sudo", "-n", "-l", "/bin/mount"])
    assert "run: sudo /bin/mount -t tmpfs" in reason
    made.refusal = ""
    assert expected(made.wish(), made.machine)[0] is State.MOUNTED
    assert not (made.root / "disk/ram").exists()


def test_the_cap_counts_the_machines_memory(made: Made) -> None:
    assert made.machine.capped(10**12) == made.machine.memory.total() // 2
    assert made.machine.capped(5 * MB) == 5 * MB
