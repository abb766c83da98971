"""One holder at a time, and a killed one leaves nothing that bars the next."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hoshikage.ramdisk.lock import LOCK, Busy, Lock

HOLD = """
import os, signal, sys
from pathlib import Path
from hoshikage.ramdisk.lock import Lock
lock = Lock(Path(sys.argv[1]), "me")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_second_one_is_told_by_whom_it_is_held(tmp_path: Path) -> None:
    held = Lock(tmp_path, "process 7")
    with pytest.raises(Busy, match="process 7"):
        Lock(tmp_path, "process 8")
    held.release()
    Lock(tmp_path, "process 9").release()
    assert not list(tmp_path.iterdir())


def test_the_end_of_a_process_frees_it_though_its_file_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], check=False, timeout=60)
    assert (tmp_path / LOCK).read_text() == "me"
    Lock(tmp_path, "next").release()


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear")
    (tmp_path / LOCK).symlink_to(tmp_path / "letter")
    with pytest.raises(OSError, match=os.strerror(40)):
        Lock(tmp_path, "x")
    assert (tmp_path / "letter").read_text() == "Dear"
