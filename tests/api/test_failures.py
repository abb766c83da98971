"""What clients see when something breaks: crashes, bad files, vanished models, long bodies."""

import itertools
import json
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.program import Program, serve

STORY = [{"role": "user", "content": "Tell me a very long story."}]
LONG = {"model": "starter", "messages": STORY, "options": {"num_predict": 4000, "temperature": 0}}


def chat(program: Program, model: str = "starter", prompt: str = "Tell me a very long story.") -> httpx.Response:
    messages = [{"role": "user", "content": prompt}]
    body = {"model": model, "messages": messages, "stream": False, "options": {"num_predict": 4}}
    return httpx.post(f"{program.url}/api/chat", json=body, timeout=60)


@pytest.mark.parametrize("route", ["/api/chat", "/v1/chat/completions"])
def test_a_crash_in_the_middle_is_an_error_frame_and_a_cut_body(server: Program, route: str) -> None:
    frames: list[str] = []
    with (
        pytest.raises(httpx.RemoteProtocolError),
        server.client() as client,
        client.stream("POST", route, json={**LONG, "stream": True}) as reply,
    ):
        for line in reply.iter_lines():
            frames += [line.removeprefix("data: ")] if line else []
            if len(frames) == 5 and (pid := server.worker_pid()):
                os.kill(pid, signal.SIGKILL)
    error = json.loads(frames[-1])["error"]
    assert "unexpectedly stopped" in (error if route == "/api/chat" else error["message"])
    assert chat(server).status_code == 200


def crash(program: Program, requests: int = 1) -> int:
    """Kill the worker once it has so many requests, none of which it can begin. They are to be sent after this."""
    pid = program.worker_pid()
    assert pid
    os.kill(pid, signal.SIGSTOP)

    def kill() -> None:
        while program.listed()["starter:latest"]["hoshikage"]["running"] < requests:
            pass
        os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill).start()
    return pid


def test_a_request_without_text_yet_is_sent_to_a_new_worker_when_its_own_dies(server: Program) -> None:
    chat(server)
    first = crash(server)
    assert chat(server).status_code == 200
    assert server.worker_pid() not in {first, None}


def test_a_request_whose_second_worker_dies_too_fails_with_a_status(server: Program) -> None:
    """It reads 5,000 words that nobody has read before, and is killed as soon as it is there."""
    chat(server)
    first = crash(server)
    replies: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: replies.append(chat(server, prompt=f"Twice. {'word ' * 5000}")))
    asking.start()
    while (second := server.worker_pid()) in {first, None}:
        pass
    os.kill(second or 0, signal.SIGKILL)
    asking.join()
    assert (replies[0].status_code, "unexpectedly stopped" in replies[0].json()["error"]) == (500, True)
    assert chat(server).status_code == 200


def test_a_hundred_requests_that_wait_are_all_answered_when_their_worker_dies(server: Program) -> None:
    chat(server)
    crash(server, requests=100)
    with ThreadPoolExecutor(100) as pool:
        assert [reply.status_code for reply in pool.map(lambda _: chat(server), range(100))] == [200] * 100


def test_a_hung_worker_does_not_hang_the_status(server: Program) -> None:
    chat(server)
    pid = server.worker_pid()
    assert pid
    os.kill(pid, signal.SIGSTOP)
    told = status(server)
    os.kill(pid, signal.SIGCONT)
    assert (told["pid"], told["answers"]) == (pid, False)
    assert status(server)["answers"]


def test_a_model_for_embeddings_is_asked_to_talk_in_vain(minilm: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "home", minilm) as program, program.client() as client:
        said = [
            client.post(f"/api/{route}", json={"model": "starter", "prompt": "x", "messages": STORY})
            for route in ("chat", "generate")
        ]
        open_ai = client.post("/v1/chat/completions", json={"model": "starter", "messages": STORY})
        assert program.worker_pid() is None
    assert [reply.status_code for reply in (*said, open_ai)] == [400] * 3
    assert [reply.json()["error"] for reply in said] == [
        f'"starter" does not support {what}' for what in ("chat", "generate")
    ]


@pytest.mark.parametrize("damage", ["truncated", "random"])
def test_a_file_that_broke_after_it_was_added_is_a_clear_error(starter: Path, tmp_path: Path, damage: str) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(starter.read_bytes())
    with serve(tmp_path / "home", model) as program:
        model.write_bytes(starter.read_bytes()[:1_000_000] if damage == "truncated" else os.urandom(5000))
        for route in ("/api/chat", "/api/generate"):
            body = {"model": "starter", "messages": STORY, "prompt": "x", "raw": route == "/api/generate"}
            reply = httpx.post(f"{program.url}{route}", json=body, timeout=60)
            assert reply.status_code == 500
            assert "could not be loaded" in reply.json()["error"]
        assert httpx.get(f"{program.url}/").status_code == 200
    assert "モデルのロードに失敗しました" in (tmp_path / "home/serve.log").read_text(encoding="utf-8")


def test_a_model_whose_file_is_gone_is_404(starter: Path, tmp_path: Path) -> None:
    link = tmp_path / "model.gguf"
    link.symlink_to(starter)
    with serve(tmp_path / "home", link) as program:
        link.unlink()
        for route in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"):
            body = {"model": "Starter", "messages": STORY, "prompt": "x"}
            reply = httpx.post(f"{program.url}{route}", json=body)
            assert (reply.status_code, reply.json()["error"]) == (
                *(404, 'model "Starter" not found, try pulling it first'),
            )
        shown = httpx.post(f"{program.url}/api/show", json={"model": "Starter"})
        assert (shown.status_code, shown.json()["error"]) == (404, "model 'starter:latest' not found")
        assert f"no such file: {link}" in (tmp_path / "home/serve.log").read_text(encoding="utf-8")
        assert len(httpx.get(f"{program.url}/api/tags").json()["models"]) == 1


def test_a_body_over_the_limit_is_413_in_each_dialect(starter: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "home", starter, MAX_BODY_MB="1") as program:
        big = b'{"model":"' + b"x" * 1_100_000 + b'"}'
        ollama = httpx.post(f"{program.url}/api/chat", content=big)
        openai = httpx.post(f"{program.url}/v1/chat/completions", content=big)
    assert (ollama.status_code, "MAX_BODY_MB" in ollama.json()["error"]) == (413, True)
    assert (openai.status_code, openai.json()["error"]["code"]) == (413, "request_too_large")


def test_a_client_that_leaves_in_the_prefill_frees_the_engine(server: Program) -> None:
    chat(server)
    body = json.dumps({"model": "starter", "prompt": "word " * 4000, "raw": True, "stream": False}).encode()
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname or "", url.port or 0)) as link:
        head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        link.sendall(head.encode() + body)
        while not status(server).get("running"):
            pass
    for _ in range(2000):
        if status(server).get("running") == 0:
            return
    raise AssertionError("the engine goes on")


def status(server: Program) -> dict[str, int]:
    found: dict[str, int] = httpx.get(f"{server.url}/v1/status", timeout=60).json()["models"][0]
    return found


def test_version_is_answered_while_a_long_prompt_and_many_streams_run(server: Program) -> None:
    """A 3 MB prompt and 64 chats, eight at a time: a plain request is answered between the groups that end."""
    ended: list[int] = []
    short = {**LONG, "options": {"num_predict": 8}}
    asked = [("/api/chat", short)] * 64 + [("/api/generate", {"model": "starter", "prompt": "word " * 600_000})]
    limits = httpx.Limits(max_connections=len(asked) + 1)
    with httpx.Client(base_url=server.url, timeout=100, limits=limits) as client:
        threads = [threading.Thread(target=post, args=(client, route, body, ended)) for route, body in asked]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert client.get("/api/version").status_code == 200
            ended.append(VERSION)
    assert sorted(code for code in ended if code != VERSION) == [200] * 64 + [400]
    bunches = [version for version, _ in itertools.groupby(ended, VERSION.__eq__) if not version]
    assert len(bunches) >= 4, ended  # a frozen gateway sends all that waited in one go


VERSION = 0
"""Stands for an answer of /api/version among the statuses."""


def post(client: httpx.Client, route: str, body: object, ended: list[int]) -> None:
    ended.append(client.post(route, json=body).status_code)
