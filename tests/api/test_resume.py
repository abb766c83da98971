"""What a conversation keeps over HTTP: through unload, restart and a changing num_ctx."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.program import Program, serve

STORY = "The old bridge was painted red, and nobody remembered why. " * 12


def asked(url: str, prompt: str, **options: object) -> Any:
    body = {"model": "starter", "prompt": prompt, "raw": True, "stream": False}
    body["options"] = {"num_predict": 4, "temperature": 0, **options}
    reply = httpx.post(f"{url}/api/generate", json=body, timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_a_conversation_goes_on_after_a_restart_and_the_memory_is_given_back(starter: Path, tmp_path: Path) -> None:
    with serve(tmp_path, starter) as program:
        first = asked(program.url, STORY)
        ram = Path(httpx.get(f"{program.url}/v1/status").json()["ramdisk"]["folder"])
        assert ram.exists()
    assert not ram.exists()
    assert len(list((tmp_path / "kv").rglob("*.kv"))) == 1
    with serve(tmp_path) as program:
        again = asked(program.url, STORY + first["response"] + " And then")
    cache = again["hoshikage"]["cache"]
    assert (first["hoshikage"]["cache"]["reason"], cache["reason"]) == ("miss_prefix", "hit_disk")
    assert cache["cached"] >= 0.9 * again["prompt_eval_count"]
    assert not list((tmp_path / "kv").rglob("*.partial"))


def test_a_conversation_goes_on_after_an_unload(server: Program) -> None:
    asked(server.url, f"Unloaded. {STORY}")
    httpx.post(f"{server.url}/api/generate", json={"model": "starter", "keep_alive": 0}, timeout=60)
    while httpx.get(f"{server.url}/v1/status").json()["models"]:
        time.sleep(0.05)
    cache = asked(server.url, f"Unloaded. {STORY}")["hoshikage"]["cache"]
    assert (cache["reason"], cache["evaluated"]) == ("hit_snapshot", 1)


def test_twenty_requests_with_changing_num_ctx_load_the_model_once(server: Program) -> None:
    asked(server.url, STORY)
    pid = server.worker_pid()
    for number in range(20):
        ceiling = [{"num_ctx": 2048}, {"num_ctx": 4096}, {}][number % 3]
        assert asked(server.url, STORY, **ceiling)["hoshikage"]["cache"]["evaluated"] == 1
    assert server.worker_pid() == pid


@pytest.mark.parametrize("disk", ["0", "4"])
def test_what_the_settings_forbid_is_not_kept(starter: Path, tmp_path: Path, disk: str) -> None:
    with serve(tmp_path, starter, KV_CACHE_GB="0", KV_DISK_GB=disk) as program:
        asked(program.url, STORY)
    assert bool(list(tmp_path.rglob("*.kv"))) == (disk == "4")
