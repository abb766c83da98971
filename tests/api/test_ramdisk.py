"""The RAM disk of the real server: copies that workers map, crashes, idleness, short memory, a second server."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hoshikage.ramdisk.mounts import run
from tests.program import Program, hoshikage, ramdisk_of, serve

STORY = "The old bridge was painted red, and nobody remembered why. " * 12
NAMESPACE = ("unshare", "--mount", "--propagation", "private")
MAY_MOUNT = sys.platform == "linux" and os.getuid() == 0 and run([*NAMESPACE, "/bin/true"]) == ""
AS_ROOT = pytest.mark.skipif(not MAY_MOUNT, reason="only root mounts, in a namespace of its own")
LARGE_BYTES = 2 << 30


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    shutil.rmtree(ramdisk_of(tmp_path / "home"), ignore_errors=True)


@pytest.fixture
def model(starter: Path, tmp_path: Path) -> Path:
    """A file of the test's own."""
    return Path(shutil.copy(starter, tmp_path / "bridge.gguf"))


def disk(program: Program) -> Any:
    return httpx.get(f"{program.url}/v1/status", timeout=60).json()["ramdisk"]


def until(found: Callable[[], object]) -> None:
    while not found():
        time.sleep(0.01)


def asked(program: Program, prompt: str = STORY, keep_alive: object = "5m") -> Any:
    body = {"model": "starter", "prompt": prompt, "raw": True, "stream": False, "keep_alive": keep_alive}
    reply = httpx.post(f"{program.url}/api/generate", json={**body, "options": {"num_predict": 4}}, timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.json()


def unload(program: Program) -> None:
    """Returns when the worker's process has ended."""
    pid = program.worker_pid()
    httpx.post(f"{program.url}/api/generate", json={"model": "starter", "keep_alive": 0}, timeout=60)
    until(lambda: not Path(f"/proc/{pid}").exists())


def mapped(program: Program, model: Path) -> set[str]:
    """From where the worker maps files of this name, among them deleted ones."""
    maps = Path(f"/proc/{program.worker_pid()}/maps").read_text().splitlines()
    return {line[line.index("/") :] for line in maps if model.name in line}


def copies(program: Program) -> list[Path]:
    """The published copies on the RAM disk."""
    return copies_in(Path(disk(program)["folder"]))


def copies_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("models/*/*.gguf") if path.parent.suffix != ".partial"]


def test_the_second_load_maps_the_copy_that_the_first_has_left(home: Path, model: Path) -> None:
    with serve(home, model) as program:
        asked(program)
        assert mapped(program, model) == {str(model)}
        until(lambda: copies(program))
        unload(program)
        again = asked(program)
        assert mapped(program, model) == {str(copies(program)[0])}
        assert again["hoshikage"]["cache"]["reason"] == "hit_snapshot"
        found = disk(program)
    assert (found["state"], found["copies"], found["refusal"]) == ("mounted", model.stat().st_size, "")
    assert not Path(found["folder"]).parent.exists()


def test_two_requests_around_the_staging_share_one_worker(home: Path, model: Path) -> None:
    with serve(home, model) as program:
        asked(program)
        pid = program.worker_pid()
        until(lambda: copies(program))
        asked(program)
        assert program.worker_pid() == pid


def test_a_stale_copy_is_not_mapped_and_is_replaced(home: Path, model: Path) -> None:
    with serve(home, model) as program:
        asked(program)
        until(lambda: copies(program))
        old = copies(program)[0].stat().st_ino
        unload(program)
        os.utime(model, ns=(1, 1))
        asked(program)
        assert mapped(program, model) == {str(model)}
        until(lambda: [path for path in copies(program) if path.stat().st_ino != old])
        unload(program)
        asked(program)
        assert mapped(program, model) == {str(copies(program)[0])}


def test_killed_while_it_copies_a_server_cleans_up_at_its_next_start(home: Path, model: Path, tmp_path: Path) -> None:
    large = Path(shutil.copy(model, tmp_path / "large.gguf"))
    os.truncate(large, LARGE_BYTES)
    hoshikage(home, "add", str(large), "large")
    with serve(home, model) as program:
        asked(program)
        folder = Path(disk(program)["folder"])
        until(lambda: copies_in(folder) and list(folder.rglob("*.kv")))  # an idle worker saves; a question wakes it
        httpx.post(f"{program.url}/api/generate", json={"model": "large"}, timeout=60)
        until(lambda: list(folder.rglob("*.partial/*.gguf")))
        program.process.kill()
        program.process.wait()
    left = (*copies_in(folder), *folder.rglob("*.kv"))
    assert (len(left), len(list(folder.rglob("*.partial")))) == (2, 1)
    with serve(home) as program:
        assert disk(program)["folder"] == str(folder)
        assert not list(folder.rglob("*.partial"))
        assert all(path.exists() for path in left)
        asked(program)
        assert mapped(program, model) == {str(left[0])}


def test_past_the_great_timeout_the_disk_is_empty_and_the_conversation_goes_on(home: Path, model: Path) -> None:
    with serve(home, model, GREAT_TIMEOUT="0.02") as program:
        first = asked(program, keep_alive=1)
        until(lambda: disk(program)["folder"] is None)
        assert not ramdisk_of(home).exists()
        assert disk(program)["reason"] == "emptied after 0.02 idle minutes"
        assert len(list((home / "kv").rglob("*.kv"))) == 1
        again = asked(program, STORY + first["response"] + " And then")
        assert disk(program)["folder"]
    assert again["hoshikage"]["cache"]["reason"] == "hit_disk"
    assert again["hoshikage"]["cache"]["evaluated"] <= 0.05 * again["prompt_eval_count"]


@AS_ROOT
def test_root_mounts_the_disk_unmounts_it_when_idle_and_mounts_it_again(home: Path, model: Path) -> None:
    point = home / "ram"
    settings = {"RAMDISK_PATH": str(point), "RAMDISK_SIZE": "1", "GREAT_TIMEOUT": "0.02"}
    with serve(home, model, within=NAMESPACE, **settings) as program:
        table = Path(f"/proc/{program.process.pid}/mounts")
        assert disk(program)["state"] == "mounted"
        assert f"tmpfs {point} tmpfs" in table.read_text()
        asked(program)
        until(lambda: disk(program)["copies"])
        unload(program)
        until(lambda: disk(program)["state"] == "off")
        assert (str(point) in table.read_text(), disk(program)["reason"]) == (
            False,
            "emptied after 0.02 idle minutes and unmounted",
        )
        asked(program)
        assert (disk(program)["state"], str(point) in table.read_text()) == ("mounted", True)
    assert not list(point.iterdir())


@AS_ROOT
def test_where_memory_is_short_the_model_is_not_copied_and_it_is_said(home: Path, model: Path, tmp_path: Path) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 8000000 kB\nMemAvailable: 850000 kB\n")
    bound = (*NAMESPACE, "sh", "-c", f'mount --bind {told} /proc/meminfo && exec "$@"', "sh")
    with serve(home, model, within=bound) as program:
        asked(program)
        until(lambda: disk(program)["refusal"])
        unload(program)
        asked(program)
        assert mapped(program, model) == {str(model)}
        assert disk(program)["refusal"].startswith("bridge.gguf is not copied: it needs ")
        assert "there is memory for 51 MB" in disk(program)["refusal"]
    assert "there is memory for 51 MB" in (home / "serve.log").read_text()


def test_a_small_disk_holds_no_large_model_and_it_is_said(home: Path, model: Path) -> None:
    with serve(home, model, RAMDISK_SIZE="0.1") as program:
        asked(program)
        until(lambda: disk(program)["refusal"])
        assert "there is room on the RAM disk for 75 MB" in disk(program)["refusal"]
        assert copies(program) == []


def test_a_second_server_on_the_same_path_serves_without_it_and_says_why(home: Path, model: Path) -> None:
    shared = str(ramdisk_of(home))
    with serve(home, model) as first:
        assert disk(first)["state"] == "mounted"
        with serve(home.with_name("other"), model, RAMDISK_PATH=shared) as second:
            asked(second)
            assert mapped(second, model) == {str(model)}
            found = disk(second)
        assert (found["state"], found["folder"]) == ("off", None)
        assert f"is in use by process {first.process.pid}" in found["reason"]
        asked(first)


@pytest.mark.parametrize("setting", [{"RAMDISK_PATH": "off"}, {"RAMDISK_SIZE": "0"}])
def test_it_can_be_turned_off(home: Path, model: Path, setting: dict[str, str]) -> None:
    with serve(home, model, **setting) as program:
        asked(program)
        assert (disk(program)["state"], disk(program)["staging"]) == ("off", False)
    assert not ramdisk_of(home).exists()
