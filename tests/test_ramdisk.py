"""The RAM disk's folder: private, one a home, or a reason why there is none."""

import os
import stat
from pathlib import Path

import pytest

from hoshikage.ramdisk import find


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A list of mounts in which two folders of the test are in memory."""
    for name in ("shm", "my disk"):
        (tmp_path / name).mkdir()
    file = tmp_path / "mounts"
    file.write_text(
        f"tmpfs {tmp_path}/shm tmpfs rw 0 0\ntmpfs {tmp_path}/my\\040disk tmpfs rw 0 0\n/dev/x / ext4 rw 0 0\n"
    )
    return file


def test_a_mounted_tmpfs_is_used(tmp_path: Path, mounts: Path) -> None:
    found = find(tmp_path / "my disk", tmp_path, tmp_path / "shm", mounts)
    assert found.folder is not None
    assert found.folder.parent == tmp_path / "my disk"


def test_without_one_shared_memory_is_used_privately(tmp_path: Path, mounts: Path) -> None:
    found = find(tmp_path / "none", tmp_path, tmp_path / "shm", mounts)
    assert found.folder is not None
    assert found.folder.parent == tmp_path / f"shm/hoshikage-{os.getuid()}"
    assert {stat.S_IMODE(each.stat().st_mode) for each in (found.folder, found.folder.parent)} == {0o700}


def test_two_homes_have_two_folders(tmp_path: Path, mounts: Path) -> None:
    homes = [find(tmp_path, tmp_path / name, tmp_path / "shm", mounts).folder for name in "aba"]
    assert (homes[0] == homes[1], homes[0] == homes[2]) == (False, True)


def test_without_memory_the_reason_is_told(tmp_path: Path) -> None:
    found = find(tmp_path / "x", tmp_path, tmp_path / "shm", tmp_path / "no-mounts")
    assert (found.folder, found.reason) == (None, f"neither {tmp_path}/x nor {tmp_path}/shm is a RAM disk")


@pytest.mark.parametrize("trap", ["link", "file"])
def test_what_somebody_has_put_in_its_place_is_not_used(tmp_path: Path, mounts: Path, trap: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    ours = tmp_path / f"shm/hoshikage-{os.getuid()}"
    ours.symlink_to(tmp_path / "elsewhere") if trap == "link" else ours.write_bytes(b"")
    found = find(tmp_path / "none", tmp_path, tmp_path / "shm", mounts)
    assert found.folder is None
    assert "cannot be used" in found.reason
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path, mounts: Path) -> None:
    ours = tmp_path / f"shm/hoshikage-{os.getuid()}"
    ours.mkdir(mode=0o755)
    assert find(tmp_path / "none", tmp_path, tmp_path / "shm", mounts).folder
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700
