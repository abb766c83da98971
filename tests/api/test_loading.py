"""Loading and unloading over HTTP: what /api/ps tells meanwhile, who shares a load, and what is refused before one.

A worker that must load or end slowly is held by SIGSTOP, so that nothing here depends on how fast the machine is.
"""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from fixtures.tiny_gguf import make_tiny
from fixtures.vast_gguf import make_wide
from tests.program import Program, environment, hoshikage, serve

STARTER = "starter:latest"
SHORT = {"num_predict": 2}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server with tiny models, of which one may be loaded at a time."""
    home = tmp_path_factory.mktemp("home")
    with serve(home, make_tiny(home / "tiny.gguf"), MAX_LOADED_MODELS="1") as running:
        hoshikage(home, "add", str(make_tiny(home / "other.gguf", seed=1)), "other")
        hoshikage(home, "add", str(make_wide(home / "vast.gguf", 2**24)), "vast")
        yield running


@pytest.fixture
def unloaded(program: Program) -> Program:
    """Nothing is loaded, and nothing is ending."""
    for name in ("starter", "other"):
        asked(program, name, prompt="", keep_alive=0)
        program.until_gone(f"{name}:latest")
    return program


def asked(program: Program, name: str = "starter", *, within: float = 60, **more: Any) -> httpx.Response:
    body = {"model": name, "prompt": "hi", "raw": True, "stream": False, "options": SHORT, **more}
    return httpx.post(f"{program.url}/api/generate", json=body, timeout=within)


def workers(program: Program) -> list[psutil.Process]:
    return [each for each in psutil.Process(program.process.pid).children() if "hoshikage.engine.worker" in said(each)]


def said(process: psutil.Process) -> list[str]:
    """Its command line; a child that was not started yet has its parent's, one that is gone none."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


@contextlib.contextmanager
def frozen(program: Program) -> Iterator[psutil.Process]:
    """The one worker there is or will be, held still meanwhile."""
    while not (found := workers(program)):
        time.sleep(0.001)
    found[0].send_signal(signal.SIGSTOP)
    try:
        yield found[0]
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            found[0].send_signal(signal.SIGCONT)


def seen(program: Program, name: str, **facts: object) -> dict[str, Any]:
    """What /api/ps tells of a model once its `hoshikage` object has these facts."""
    while True:
        found = program.listed().get(name)
        if found and all(found["hoshikage"][key] == value for key, value in facts.items()):
            return found


def test_a_hundred_at_once_load_a_model_once(unloaded: Program) -> None:
    with ThreadPoolExecutor(100) as threads:
        answers = [threads.submit(asked, unloaded)]
        with frozen(unloaded) as worker:
            answers += [threads.submit(asked, unloaded) for _ in range(99)]
            seen(unloaded, STARTER, state="loading", waiting=100)
            assert workers(unloaded) == [worker]
        assert {answer.result().status_code for answer in answers} == {200}
    assert workers(unloaded) == [worker]


def test_a_client_that_leaves_ends_the_load_if_nobody_else_waits(unloaded: Program) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(asked, unloaded, within=2)
        with frozen(unloaded) as worker:
            assert isinstance(answer.exception(), httpx.ReadTimeout)
            unloaded.until_gone()
            assert not worker.is_running()
    assert asked(unloaded).status_code == 200


def test_ps_shows_how_far_a_load_is(unloaded: Program) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(asked, unloaded)
        with frozen(unloaded):
            found = seen(unloaded, STARTER, state="loading")
            assert (0 <= found["hoshikage"]["progress"] <= 1, found["context_length"]) == (True, 256)
            assert "Loading " in hoshikage(unloaded.home, "ps").stdout
        assert answer.result().status_code == 200
    after = {"state": "idle", "progress": 1.0, "running": 0, "waiting": 0}
    assert seen(unloaded, STARTER, state="idle")["hoshikage"].items() >= after.items()


def test_run_shows_a_bar_while_the_model_loads(unloaded: Program) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hoshikage", "run", "starter", "hi", "--format", '{"enum": ["yes"]}']
    env = environment(unloaded.home, TERM="xterm", COLUMNS="120")
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        with frozen(unloaded):
            shown = b""
            while b"loading starter" not in shown:
                shown += os.read(ours, 4096)
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, out.strip()) == (0, b'"yes"')


def test_a_model_that_ends_is_listed_until_its_process_is_gone_and_asked_again_after_it(unloaded: Program) -> None:
    asked(unloaded)
    with ThreadPoolExecutor(1) as threads, frozen(unloaded) as first:
        assert asked(unloaded, prompt="", keep_alive=0).json()["done_reason"] == "unload"
        found = seen(unloaded, STARTER, state="stopping")
        assert datetime.fromisoformat(found["expires_at"]) < datetime.now(UTC)
        assert "Stopping..." in hoshikage(unloaded.home, "ps").stdout
        answer = threads.submit(asked, unloaded)
        seen(unloaded, STARTER, state="stopping", waiting=1)
        first.send_signal(signal.SIGCONT)
        assert answer.result().status_code == 200
    assert workers(unloaded) != [first]


def test_keep_alive_zero_waits_for_the_running_request(unloaded: Program) -> None:
    asked(unloaded)
    with ThreadPoolExecutor(1) as threads:
        with frozen(unloaded):
            answer = threads.submit(asked, unloaded)
            seen(unloaded, STARTER, state="running", running=1)
            asked(unloaded, prompt="", keep_alive=0)
            assert seen(unloaded, STARTER)["hoshikage"]["state"] == "running"
        assert answer.result().json()["done"] is True
    unloaded.until_gone()


def test_a_running_model_is_not_ended_for_another_which_waits(unloaded: Program) -> None:
    asked(unloaded)
    with ThreadPoolExecutor(2) as threads:
        with frozen(unloaded):
            first = threads.submit(asked, unloaded)
            seen(unloaded, STARTER, running=1)
            second = threads.submit(asked, unloaded, "other")
            assert list(unloaded.listed()) == [STARTER]
        assert [each.result().status_code for each in (first, second)] == [200, 200]
    assert list(unloaded.listed()) == ["other:latest"]


@pytest.mark.parametrize(("given", "seconds"), [(7, 7), (90.5, 90.5), ("1h30m", 5400), ("-1m", None), (-1, None)])
def test_every_spelling_of_keep_alive_counts_and_stays_when_it_is_left_out(
    program: Program, given: object, seconds: float | None
) -> None:
    asked(program, keep_alive=given)
    for _ in range(2):
        before = time.time()
        asked(program)
        left = datetime.fromisoformat(program.listed()[STARTER]["expires_at"]).timestamp() - before
        assert left > 250 * 365 * 86400 if seconds is None else seconds - 0.01 <= left < seconds + 60
        asked(program, keep_alive=None)


@pytest.mark.parametrize("route", ["/api/chat", "/v1/chat/completions"])
def test_a_model_larger_than_memory_is_refused_before_it_is_loaded(program: Program, route: str) -> None:
    body = {"model": "vast", "messages": [{"role": "user", "content": "hi"}]}
    reply = httpx.post(program.url + route, json=body, timeout=60)
    said = (
        r"model requires more system memory \(1024\.1 GiB\) than is available \([\d.]+ GiB\): \d{13} bytes are needed,"
    )
    assert (reply.status_code, bool(re.search(said + r" \d+ are free", reply.text))) == (503, True), reply.text
    assert "vast:latest" not in program.listed()


@pytest.mark.parametrize("loaded", [False, True])
def test_an_absurd_num_ctx_is_refused_before_a_load_and_beside_one(unloaded: Program, loaded: bool) -> None:
    if loaded:
        asked(unloaded)
    reply = asked(unloaded, options={"num_ctx": 2_000_000_000})
    kv_bytes = 2 * 32 * 2 * 2 * 2_000_000_000  # layers, width, key and value, bytes
    assert reply.status_code == 503
    assert reply.json()["error"].startswith(f"num_ctx 2000000000 requires more system memory ({kv_bytes / 2**30:.1f}")
    assert f"{kv_bytes} bytes are needed" in reply.json()["error"]
    assert (STARTER in unloaded.listed()) == loaded


def test_a_num_ctx_over_the_trained_length_is_capped_and_said(program: Program) -> None:
    reply = asked(program, options={**SHORT, "num_ctx": 131072})
    assert (reply.status_code, reply.headers["x-hoshikage-warning"]) == (200, "num_ctx-capped=256")


def test_what_is_no_int32_is_a_bad_request(program: Program) -> None:
    assert asked(program, options={"num_ctx": 2**31}).status_code == 400


def test_a_missing_file_is_told_as_such_and_not_as_too_little_memory(program: Program, tmp_path: Path) -> None:
    file = make_tiny(tmp_path / "lost.gguf", seed=3)
    hoshikage(program.home, "add", str(file), "lost")
    file.unlink()
    assert asked(program, "lost").status_code == 404
