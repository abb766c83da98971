"""The doctor under real conditions: what is broken here is really broken."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.ramdisk.mounts import run
from tests.program import Program, environment, hoshikage, ramdisk_of, serve

EN = {"HOSHIKAGE_LANG": "en"}
NAMESPACE = ("unshare", "--mount", "--propagation", "private")
MAY_MOUNT = sys.platform == "linux" and os.getuid() == 0 and run([*NAMESPACE, "/bin/true"]) == ""
AS_ROOT = pytest.mark.skipif(not MAY_MOUNT, reason="only root mounts, in a namespace of its own")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


def doctor(home: Path, *within: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [*within, sys.executable, "-m", "hoshikage", "doctor"]
    environ = environment(home, **{"OLLAMA_HOST": f"127.0.0.1:{free()}", **EN, **more})
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def line(done: "subprocess.CompletedProcess[str]", words: str) -> str:
    found = [each for each in done.stdout.splitlines() if words in each]
    assert len(found) == 1, (done.stdout, done.stderr)
    return found[0]


def test_all_is_well_and_said_in_the_users_language(home: Path) -> None:
    english, japanese = doctor(home), doctor(home, HOSHIKAGE_LANG="ja")
    assert (english.returncode, japanese.returncode) == (0, 0), english.stdout
    assert "❌" not in english.stdout
    assert line(english, "(writable").startswith(f"✅ Home {home}")
    assert line(japanese, "書き込み可").startswith(f"✅ ホーム {home}")
    assert len(english.stdout.splitlines()) == len(japanese.stdout.splitlines())


def test_every_line_that_is_not_well_names_a_command(home: Path, tmp_path: Path, taken: int) -> None:
    more = {"MODEL_PATHS": "/nowhere/at/all", "OLLAMA_NOPRUNE": "1", "RAMDISK_PATH": "off", "LEGACY_PORT": str(taken)}
    done = doctor(home, **more)
    bad = [each for each in done.stdout.splitlines() if not each.startswith("✅")]
    assert len(bad) >= 4
    assert not [each for each in bad if " → " not in each]
    assert "OLLAMA_NOPRUNE" in line(done, "without effect")
    assert "mkdir -p /nowhere/at/all" in line(done, "MODEL_PATHS names no folder")
    assert done.returncode == 0


@AS_ROOT
def test_a_home_on_a_read_only_disk_is_a_fault(home: Path) -> None:
    script = f'mount --bind "{home}" "{home}" && mount -o remount,ro,bind "{home}" && exec "$@"'
    done = doctor(home, *NAMESPACE, "/bin/sh", "-c", script, "sh")
    assert line(done, "cannot be written").startswith(f"❌ The home {home}")
    assert done.returncode == 1


@AS_ROOT
def test_a_home_and_files_of_somebody_else_are_faults(tmp_path: Path) -> None:
    """Asked by another user, who may enter the folder and read this program, and no more."""
    shared = Path("/dev/shm") / f"hoshikage-doctor-{os.getpid()}"
    try:
        shared.mkdir()
        hoshikage(shared, "add", str(make_tiny(shared / "own.gguf")), "own")
        (shared / "own.gguf").chmod(0o600)
        for folder in (shared, shared / "models"):
            folder.chmod(0o755)
        environ = environment(shared, OLLAMA_HOST=f"127.0.0.1:{free()}", **EN)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, "doctor"], env=environ, capture_output=True, text=True, check=False
        )
    finally:
        shutil.rmtree(shared, ignore_errors=True)
    assert line(done, "cannot be written").startswith("❌")
    assert "sudo chmod a+r" in line(done, "cannot be read")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


AS_NOBODY = """
import os, sys
import hoshikage.cli.doctor.command, hoshikage.models.home, encodings.idna
from hoshikage.cli.main import main
os.setgid(65534)
os.setuid(65534)
sys.exit(main())
"""
"""What is needed is imported before the other user comes, to whom this environment may be closed."""


def test_a_model_whose_file_is_gone_is_a_fault_with_the_way_out(home: Path, tmp_path: Path) -> None:
    file = make_tiny(tmp_path / "gone.gguf")
    hoshikage(home, "add", str(file), "gone")
    file.unlink()
    done = doctor(home)
    assert (done.returncode, line(done, str(file))) == (
        1,
        f"❌ Model 'gone': no such file: {file} → hoshikage remove gone",
    )
    assert hoshikage(home, *line(done, str(file)).rpartition(" → hoshikage ")[2].split()).returncode == 0
    assert doctor(home).returncode == 0


def test_a_broken_map_of_models_is_a_fault(home: Path) -> None:
    (home / "models").mkdir()
    (home / "models/model_map.json").write_text("{broken")
    done = doctor(home)
    assert done.returncode == 1
    assert "model_map.json.broken" in line(done, "→ mv ")


def test_a_port_that_another_takes_is_named_with_its_process(home: Path, taken: int) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    one = doctor(home, OLLAMA_HOST=f"127.0.0.1:{taken}", LEGACY_PORT=str(free()))
    assert line(one, "is taken by") == (
        f"⚠️ 127.0.0.1:{taken} is taken by {name} ({os.getpid()}). → hoshikage serve --port 11500"
    )
    both = doctor(home, OLLAMA_HOST=f"127.0.0.1:{taken}", LEGACY_PORT="off")
    assert (one.returncode, both.returncode) == (0, 1)
    assert line(both, "is taken by").startswith("❌")


def test_the_running_servers_port_is_its_own(server: Program) -> None:
    done = doctor(server.home, OLLAMA_HOST=server.url)
    assert line(done, "is the running server's").startswith("✅")
    assert f"process {server.process.pid}" in line(done, "A server runs")


def test_a_server_that_wants_a_key_is_not_taken_for_broken(home: Path) -> None:
    with serve(home, HOSHIKAGE_API_KEYS="the-boss"):
        without = doctor(home)
        knowing = doctor(home, HOSHIKAGE_API_KEY="the-boss")
    assert line(without, "does not tell its state").startswith("⚠️")
    assert "does not tell" not in knowing.stdout
    assert (without.returncode, knowing.returncode) == (0, 0)


def test_who_listens_for_others_needs_a_key(home: Path) -> None:
    host = {"OLLAMA_HOST": f"0.0.0.0:{free()}"}
    done = doctor(home, **host)
    assert (done.returncode, line(done, "there is no API key")[0]) == (1, "❌")
    assert hoshikage(home, "key", "add", "phone").returncode == 0
    assert doctor(home, **host).returncode == 0
    hoshikage(home, "key", "revoke", "phone")
    assert line(doctor(home, **host), "nobody gets in").startswith("⚠️")


def test_the_ram_disk_is_told_and_none_is_made(home: Path) -> None:
    assert line(doctor(home), "RAM disk: ") == f"✅ RAM disk: mounted: {ramdisk_of(home)} is in memory"
    assert "RAMDISK_PATH=/" in line(doctor(home, RAMDISK_PATH="off"), "RAM disk: off")
    assert not ramdisk_of(home).exists()
