"""The systemd unit, as systemd itself reads it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import hoshikage

VERIFY = shutil.which("systemd-analyze")


def unit(home: Path, *arguments: str, **more: str) -> str:
    done = hoshikage(home, "unit", *arguments, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(VERIFY is None, reason="systemd is not installed")
@pytest.mark.parametrize("name", ["plain", 'a b%n$HOME"x'])
@pytest.mark.parametrize("scope", ["--system", "--user"])
@pytest.mark.parametrize("disk", ["/mnt/temp/hoshikage", "off"])
def test_systemd_finds_nothing_wrong(tmp_path: Path, name: str, scope: str, disk: str) -> None:
    (tmp_path / name).mkdir()
    file = tmp_path / "hoshikage.service"
    arguments = ["--user"] if scope == "--user" else []
    file.write_text(unit(tmp_path / name, *arguments, RAMDISK_PATH=disk))
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [str(VERIFY), scope, "verify", str(file)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "hoshikage" in line]) == (0, [])


def test_the_paths_are_this_environments_and_this_homes(tmp_path: Path) -> None:
    text = unit(tmp_path)
    assert f'ExecStart="{Path(sys.executable).with_name("hoshikage")}" serve --home "{tmp_path}"\n' in text
    assert ("User=" in text, "WantedBy=multi-user.target" in text) == (True, True)
    own = unit(tmp_path, "--user")
    assert ("User=" in own, "WantedBy=default.target" in own) == (False, True)


def test_systemd_waits_longer_than_the_server_needs(tmp_path: Path) -> None:
    for seconds in (0, 30, 600):
        found = re.search(r"^TimeoutStopSec=(\d+)$", unit(tmp_path, STOP_TIMEOUT=str(seconds)), re.MULTILINE)
        assert found
        assert int(found[1]) >= seconds + 100


def test_what_would_forbid_sudo_is_there_only_without_a_ram_disk(tmp_path: Path) -> None:
    assert not re.search(r"^(NoNewPrivileges|Protect|Restrict(?!=|art))", unit(tmp_path), re.MULTILINE)
    assert "\nNoNewPrivileges=yes\n" in unit(tmp_path, RAMDISK_PATH="off")
