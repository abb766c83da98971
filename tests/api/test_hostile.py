"""What a stranger may send to the real server: it answers with a reason, and goes on turning meanwhile."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.program import Program, serve

LOOP = "{{ range .Messages }}{{ range $.Messages }}{{ range $.Messages }}x{{ end }}{{ end }}{{ end }}"
HUGE = "1" + "0" * 400


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> Iterator[Program]:
    with serve(tmp_path_factory.mktemp("hostile") / "home", starter) as program:
        yield program


@pytest.fixture
def client(running: Program) -> Iterator[httpx.Client]:
    with running.client() as made:
        yield made


def test_the_server_answers_while_a_template_of_a_request_is_read(client: httpx.Client, running: Program) -> None:
    body = {"model": "starter", "prompt": "x", "stream": False, "template": "{{ .Prompt }}" * 70_000}
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(httpx.post, f"{running.url}/api/generate", json=body, timeout=60)
        answers = 0
        while not slow.done():
            answers += client.get("/api/version").status_code == 200
    assert slow.result().status_code == 400
    assert answers > 20


def test_a_template_that_loops_at_chat_is_a_400(client: httpx.Client) -> None:
    assert client.post("/api/create", json={"model": "loop", "from": "starter", "template": LOOP}).status_code == 200
    messages = [{"role": role, "content": "x"} for _ in range(100) for role in ("user", "assistant")]
    reply = client.post("/api/chat", json={"model": "loop", "messages": messages})
    assert (reply.status_code, "more than 1000000 steps" in reply.text) == (400, True)


@pytest.mark.parametrize("stop", [5, [5], [None], {"a": "b"}, True])
def test_stop_strings_that_are_none_are_refused_by_name(client: httpx.Client, stop: object) -> None:
    reply = client.post("/api/create", json={"model": "m", "from": "starter", "parameters": {"stop": stop}})
    assert (reply.status_code, reply.json()["error"]) == (400, 'option "stop" must be of an array of strings')


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat", '{"model": "starter", "top_logprobs": %s}'),
        ("chat", '{"model": "starter", "messages": [{"role": "user", "content": "x"}], "options": {"num_ctx": %s}}'),
        ("chat", '{"model": "starter", "messages": [{"role": "user", "content": "x"}], "options": {"top_p": %s}}'),
        ("create", '{"model": "m", "from": "starter", "stream": %s}'),
    ],
)
def test_a_number_of_400_digits_is_refused(client: httpx.Client, path: str, body: str) -> None:
    reply = client.post(f"/api/{path}", content=body % HUGE)
    assert reply.status_code in {400, 500}
    assert "error" in reply.json()


@pytest.mark.parametrize("depth", [900, 930, 960, 975])
def test_arguments_that_are_nested_deep_are_no_mistake_of_the_servers(client: httpx.Client, depth: int) -> None:
    arguments = '{"a":' * depth + "1" + "}" * depth
    called = f'{{"role":"assistant","tool_calls":[{{"function":{{"name":"f","arguments":{arguments}}}}}]}}'
    asked = f'{{"role":"user","content":"{"x" * (1 << 18)}"}}'
    reply = client.post("/api/chat", content=f'{{"model":"starter","messages":[{called},{asked}]}}')
    assert reply.status_code == 400
    assert "exceeded max depth" in reply.text or "more than the context length" in reply.text


def test_a_recipe_larger_than_any_registry_should_hold_is_refused(client: httpx.Client) -> None:
    reply = client.post("/api/create", json={"model": "m", "from": "starter", "system": "x" * (17 << 20)})
    assert (reply.status_code, "larger than" in reply.json()["error"]) == (400, True)


def test_a_connection_goes_on_after_an_upload_of_what_is_here(client: httpx.Client) -> None:
    data = bytes(5 << 20)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert [client.post(f"/api/blobs/{digest}", content=data).status_code for _ in range(3)] == [201, 200, 200]
    assert client.get("/api/version", timeout=10).status_code == 200


def test_a_model_that_is_deleted_does_not_stay_loaded_for_ever(client: httpx.Client, running: Program) -> None:
    client.post("/api/copy", json={"source": "starter", "destination": "second"})
    client.post("/api/chat", json={"model": "second", "messages": [], "keep_alive": -1})
    worker = next(each for each in psutil.Process(running.process.pid).children() if "worker" in str(each.cmdline()))
    for name in [model["name"] for model in client.get("/api/tags").json()["models"]]:
        assert worker.is_running()
        assert client.request("DELETE", "/api/delete", json={"model": name}).status_code == 200
    assert worker.wait(30) is not None or not worker.is_running()
