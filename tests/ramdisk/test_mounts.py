"""The commands against the manual's lines for sudoers, what lies in memory, and a mount for real in a namespace."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hoshikage.ramdisk.mounts import GIB, Mounts, run
from tests.ramdisk.machines import Made

MANUAL = Path(__file__).parents[2] / "README.ja.md"
DEFAULT = Path("/mnt/temp/hoshikage")
NAMESPACE = ["unshare", "--mount", "--propagation", "private"]
IN_NAMESPACE = """
import os, sys
from pathlib import Path
from hoshikage.ramdisk.place import Machine, Wish, find, unmount
wish = Wish(Path(sys.argv[1]), 0.5, Path(sys.argv[2]))
place = find(wish, Machine())
row = next(line for line in open("/proc/self/mounts") if sys.argv[1] in line).split()
status = os.stat(sys.argv[1])
print(place.state, row[2], "size=524288k" in row[3], oct(status.st_mode & 0o7777), status.st_uid == os.getuid())
again, left = find(wish, Machine()), unmount(wish.path, Machine())
print(place.base == wish.path, again.state, repr(left), os.path.ismount(wish.path))
"""


def allowed(program: str) -> "re.Pattern[str]":
    """The manual's line as sudo reads it: `*` is any text, a backslash takes a comma's meaning."""
    line = next(line for line in MANUAL.read_text().splitlines() if f"NOPASSWD: {program} " in line)
    text = line.partition("NOPASSWD: ")[2].replace("\\,", ",")
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))


@pytest.mark.parametrize("size", [12 * GIB, 12 * GIB - 1, GIB // 2])
def test_the_mount_command_is_what_the_manual_allows(size: int) -> None:
    command = Mounts(uid=1000, gid=100).mounting(DEFAULT, size)
    assert command[:2] == ["sudo", "-n"]
    assert allowed("/bin/mount").fullmatch(" ".join(command[2:]))


def test_the_unmount_command_is_what_the_manual_allows() -> None:
    command = Mounts(uid=1000, gid=100).unmounting(DEFAULT)
    assert command[:2] == ["sudo", "-n"]
    assert allowed("/bin/umount").fullmatch(" ".join(command[2:]))


def test_another_place_is_not_allowed_by_the_manual() -> None:
    command = Mounts(uid=1000, gid=100).mounting(Path("/etc"), GIB)
    assert not allowed("/bin/mount").fullmatch(" ".join(command[2:]))


def test_twelve_gigabytes_are_written_as_in_the_manual_and_root_needs_no_sudo() -> None:
    words = "/bin/mount -t tmpfs -o size=12G,mode=0700,uid=0,gid=0 tmpfs /mnt/temp/hoshikage"
    assert Mounts(uid=0, gid=0).mounting(DEFAULT, 12 * GIB) == words.split()


def test_the_innermost_mount_says_whether_a_path_is_in_memory(made: Made) -> None:
    mounts = made.machine.mounts
    made.mount(made.root / "my disk")
    assert mounts.in_memory(made.root / "my disk/not/there") == made.root / "my disk"
    assert mounts.in_memory(made.root / "home") is None
    with (made.root / "mounts").open("a") as table:
        table.write(f"/dev/y {made.root}/shm/inner ext4 rw 0 0\n")
    assert mounts.in_memory(made.root / "shm/inner/x") is None


def test_a_command_that_fails_tells_why() -> None:
    assert "unrecognized option '--nothing'" in run(["/bin/mount", "--nothing"])
    assert run(["/no/such/program"])
    assert run(["/bin/true"]) == ""


def in_namespace() -> bool:
    return sys.platform == "linux" and run([*NAMESPACE, "/bin/true"]) == "" and os.getuid() == 0


@pytest.mark.skipif(not in_namespace(), reason="only root mounts, in a namespace of its own")
def test_root_mounts_and_unmounts_for_real(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    command = [*NAMESPACE, sys.executable, "-c", IN_NAMESPACE, str(tmp_path / "plain/ram"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == [
        "mounted tmpfs True 0o700 True",
        "True mounted '' False",
    ], done.stderr
    assert not os.path.ismount(tmp_path / "plain/ram")
