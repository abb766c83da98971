"""How the real server stops: what runs ends well or by an error frame, conversations are kept, nothing is left."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import Program, hoshikage, serve

STORY = "The old bridge was painted red, and nobody remembered why. " * 12
CUT = "the body ended without its last chunk"
MESSAGES = [{"role": "user", "content": STORY}]


def body(new: int, **more: object) -> dict[str, Any]:
    options = {"num_predict": new, "temperature": 0, "ignore_eos": True}
    return {"model": "starter", "prompt": STORY, "raw": True, "options": options, **more}


@contextmanager
def streaming(program: Program, path: str, asked: dict[str, Any]) -> Iterator[tuple[list[str], threading.Thread]]:
    """A client that has had its first line; the lines so far, and the thread that reads them to the end."""
    lines: list[str] = []
    first = threading.Event()

    def read() -> None:
        try:
            with program.client() as client, client.stream("POST", path, json=asked) as reply:
                for line in reply.iter_lines():
                    lines.extend([line.removeprefix("data: ")] if line else [])
                    first.set()
        except httpx.RemoteProtocolError:
            lines.append(CUT)

    thread = threading.Thread(target=read)
    thread.start()
    assert first.wait(60)
    yield lines, thread
    thread.join(60)


def address(program: Program) -> tuple[str, int]:
    url = urlsplit(program.url)
    return url.hostname or "", url.port or 0


def until_closed(program: Program) -> None:
    """Until nobody is let in any more."""
    with suppress(ConnectionError):
        while True:
            socket.create_connection(address(program), timeout=60).close()


def stopped(program: Program, number: int = signal.SIGTERM) -> int:
    program.process.send_signal(number)
    return program.process.wait(60)


def test_what_runs_is_finished_and_the_exit_code_is_0(starter: Path, tmp_path: Path) -> None:
    with serve(tmp_path, starter) as program, streaming(program, "/api/generate", body(60)) as (lines, reading):
        assert stopped(program, signal.SIGINT) == 0
        reading.join(60)
    last = json.loads(lines[-1])
    assert (last["done"], last["eval_count"]) == (True, 60)


@pytest.mark.parametrize("path", ["/api/generate", "/v1/chat/completions"])
def test_what_runs_too_long_ends_by_an_error_frame_and_a_cut_body(starter: Path, tmp_path: Path, path: str) -> None:
    chat = {"model": "starter", "messages": MESSAGES, "stream": True, "ignore_eos": True}
    asked = body(6000) if path.startswith("/api") else chat
    with serve(tmp_path, starter, STOP_TIMEOUT="0.5") as program, streaming(program, path, asked) as (lines, reading):
        workers = psutil.Process(program.process.pid).children(recursive=True)
        assert stopped(program) == 0
        reading.join(60)
    error = json.loads(lines[-2])["error"]
    assert (error if path.startswith("/api") else error["message"]).startswith("the server is stopping")
    assert (lines[-1], len(workers) > 0) == (CUT, True)
    assert not [worker for worker in workers if worker.is_running()]


def test_a_conversation_that_was_cut_off_goes_on_after_the_restart(starter: Path, tmp_path: Path) -> None:
    with (
        serve(tmp_path, starter, STOP_TIMEOUT="0") as program,
        streaming(program, "/api/generate", body(6000)) as (lines, reading),
    ):
        stopped(program)
        reading.join(60)
    said = "".join(json.loads(line).get("response", "") for line in lines if line != CUT)
    with serve(tmp_path) as program:
        asked = {**body(4, stream=False), "prompt": STORY + said + " And then"}
        again = httpx.post(f"{program.url}/api/generate", json=asked, timeout=60).json()
    assert again["hoshikage"]["cache"]["reason"] == "hit_disk"
    assert again["hoshikage"]["cache"]["evaluated"] <= 0.05 * again["prompt_eval_count"]


def test_a_request_that_comes_in_while_the_server_stops_is_refused(starter: Path, tmp_path: Path) -> None:
    content = json.dumps(body(4)).encode()
    head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
    with serve(tmp_path, starter) as program, socket.create_connection(address(program), timeout=60) as link:
        link.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert link.recv(1 << 16).startswith(b"HTTP/1.1 100")
        program.process.send_signal(signal.SIGTERM)
        until_closed(program)
        link.sendall(content)
        reply = b"".join(iter(lambda: link.recv(1 << 16), b"")).decode()
        assert program.process.wait(60) == 0
    assert reply.startswith("HTTP/1.1 503")
    assert "\r\nconnection: close\r\n" in reply
    assert "\r\nretry-after: 5\r\n" in reply
    assert json.loads(reply.partition("\r\n\r\n")[2])["error"].startswith("the server is stopping")


def test_a_second_signal_ends_at_once_and_leaves_no_worker(starter: Path, tmp_path: Path) -> None:
    with serve(tmp_path, starter) as program, streaming(program, "/api/generate", body(6000)) as (lines, reading):
        workers = psutil.Process(program.process.pid).children(recursive=True)
        program.process.send_signal(signal.SIGINT)
        until_closed(program)
        assert stopped(program, signal.SIGINT) == 1
        reading.join(60)
        _, alive = psutil.wait_procs(workers, timeout=20)
    assert (lines[-1], alive, len(workers) > 0) == (CUT, [], True)


def test_ctrl_c_in_a_terminal_is_the_same(starter: Path, tmp_path: Path) -> None:
    """It reaches the whole group: gateway and workers."""
    with (
        serve(tmp_path, starter, within=("setsid",)) as program,
        streaming(program, "/api/generate", body(60)) as (lines, reading),
    ):
        os.killpg(program.process.pid, signal.SIGINT)
        assert program.process.wait(60) == 0
        reading.join(60)
    assert json.loads(lines[-1])["eval_count"] == 60


def test_a_service_manager_is_told_when_it_serves_and_when_it_stops(tmp_path: Path) -> None:
    """Once by a path, once by a name in the abstract namespace."""
    for name in (str(tmp_path / "notify"), f"@hoshikage-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(name.replace("@", "\0"))
            manager.settimeout(60)
            with serve(tmp_path / "home", NOTIFY_SOCKET=name) as program:
                assert manager.recv(100) == b"READY=1"
                assert httpx.get(f"{program.url}/").status_code == 200
                assert stopped(program) == 0
                assert manager.recv(100) == b"STOPPING=1"


def test_workers_and_jobs_know_no_keys(starter: Path, tmp_path: Path) -> None:
    with serve(tmp_path, starter, HOSHIKAGE_API_KEYS="the-boss", STOP_TIMEOUT="0") as program:
        headers = {"authorization": "Bearer the-boss"}
        httpx.post(f"{program.url}/api/generate", json={"model": "starter"}, headers=headers, timeout=60)
        workers = psutil.Process(program.process.pid).children(recursive=True)
        environs = [Path(f"/proc/{worker.pid}/environ").read_bytes() for worker in workers]
    assert [b"HOSHIKAGE_WORKER_LOG" in each for each in environs] == [True]
    assert not [each for each in environs if b"the-boss" in each]


def test_a_file_that_is_being_hashed_is_not_waited_for(tmp_path: Path) -> None:
    """A sparse file of 200 GB: minutes of hashing, which the end must not last."""
    large = make_tiny(tmp_path / "large.gguf")
    os.truncate(large, 200 << 30)
    assert hoshikage(tmp_path, "add", str(large), "large").returncode == 0
    with serve(tmp_path, None) as program:
        process = psutil.Process(program.process.pid)
        while not any(each.path == str(large) for each in process.open_files()):
            time.sleep(0.02)
        assert stopped(program) == 0
