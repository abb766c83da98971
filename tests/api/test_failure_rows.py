"""What breaks when another server pretends to be Ollama: the rows of the project's list of needs, each a test.

Rows 6, 7, 23 and the tools of row 10 are in test_failure_rows_tools.py.
"""

import datetime
import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import Program, hoshikage, serve

HELLO = [{"role": "user", "content": "Say hello."}]
SHORT = {"num_predict": 8, "seed": 1}
LOADING = {"model": "starter", "prompt": ""}
ORIGIN = {"Origin": "http://localhost:3000"}


@pytest.fixture(scope="module")
def program(starter: Path, minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The starter, a model for embeddings, and a tiny one that says random bytes."""
    home = tmp_path_factory.mktemp("rows")
    tiny = make_tiny(home / "tiny.gguf")
    with serve(home / "home", starter) as running:
        for path, name in ((minilm, "embedder"), (tiny, "tiny")):
            assert hoshikage(running.home, "add", str(path), name).returncode == 0
        yield running


@pytest.fixture
def client(program: Program) -> Iterator[httpx.Client]:
    with program.client() as made:
        yield made


def chat(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/api/chat", json={"model": "starter", "messages": HELLO, "options": SHORT, **more})


NOISE = {"model": "tiny", "prompt": "x", "raw": True, "options": {"num_predict": 30, "seed": 4}}


@pytest.fixture(scope="module")
def streams(program: Program) -> list[httpx.Response]:
    """A chat, a generation whose tokens are no whole characters, and one up to its stop string."""
    ends = {"num_predict": 30, "temperature": 0, "stop": ["6"]}
    ending = {"model": "starter", "prompt": "1 2 3 4", "raw": True, "options": ends}
    with program.client() as client:
        return [chat(client), *(client.post("/api/generate", json=body) for body in (NOISE, ending))]


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reply.text.removesuffix("\n").split("\n")]


def shown(client: httpx.Client, name: str = "starter") -> dict[str, Any]:
    found: dict[str, Any] = client.post("/api/show", json={"model": name}).json()
    return found


def listed(client: httpx.Client, path: str = "/api/tags") -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in client.get(path).json()["models"]}


def test_row_01_an_error_after_text_is_a_line_and_the_body_is_cut(program: Program, client: httpx.Client) -> None:
    body = {"model": "starter", "messages": HELLO, "options": {"num_predict": 4000, "temperature": 0}}
    said: list[dict[str, Any]] = []
    with pytest.raises(httpx.RemoteProtocolError), client.stream("POST", "/api/chat", json=body) as reply:
        for line in reply.iter_lines():
            said.append(json.loads(line))
            if len(said) == 3 and (pid := program.worker_pid()):
                os.kill(pid, signal.SIGKILL)
    assert (said[0]["done"], list(said[-1])) == (False, ["error"])


@pytest.mark.parametrize("stream", [True, False])
def test_row_01_what_can_be_known_before_is_a_status(client: httpx.Client, stream: bool) -> None:
    reply = client.post("/api/generate", json={"model": "starter", "prompt": "word " * 9000, "stream": stream})
    assert (reply.status_code, list(reply.json())) == (400, ["error"])


def test_row_02_no_blank_lines(streams: list[httpx.Response]) -> None:
    for reply in streams:
        assert reply.content.endswith(b"}\n")
        assert b"\n\n" not in reply.content
        assert all(line.startswith("{") for line in reply.text.removesuffix("\n").split("\n"))


def test_row_03_no_sse_frames(streams: list[httpx.Response]) -> None:
    for reply in streams:
        assert reply.headers["content-type"] == "application/x-ndjson"
        assert not [line for line in reply.text.splitlines() if not isinstance(json.loads(line), dict)]


def test_row_04_a_count_is_left_out_and_never_null(client: httpx.Client, streams: list[httpx.Response]) -> None:
    replies = [*streams, chat(client, stream=False), client.post("/api/generate", json=LOADING)]
    for reply in (*replies, client.get("/api/ps"), client.get("/api/version")):
        assert reply.status_code == 200
        assert "null" not in re.findall(r'":(null|\d+)', reply.text)


@pytest.mark.parametrize("logprobs", [False, True])
def test_row_05_no_line_without_text_before_the_last(client: httpx.Client, logprobs: bool) -> None:
    *deltas, last = lines(client.post("/api/generate", json={**NOISE, "logprobs": logprobs}))
    assert deltas
    assert all(line["response"] for line in deltas)
    assert (last["done"], last["response"]) == (True, "")


def test_row_08_the_done_reason_is_one_of_ollamas(client: httpx.Client, streams: list[httpx.Response]) -> None:
    reasons = [lines(reply)[-1]["done_reason"] for reply in streams]
    assert reasons == ["length", "length", "stop"]
    assert client.post("/api/generate", json=LOADING).json()["done_reason"] == "load"


def test_row_09_the_version_is_dotted_integers(client: httpx.Client) -> None:
    found = client.get("/api/version").json()["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", found)
    assert tuple(map(int, found.split("."))) > (0, 6, 4)


def test_row_10_copilot_finds_version_capabilities_window_and_v1(client: httpx.Client) -> None:
    found = shown(client, "starter:latest")
    info = found["model_info"]
    assert "completion" in found["capabilities"]
    assert info[f"{info['general.architecture']}.context_length"] == 8192
    assert found["details"]["family"] == info["general.architecture"]
    body = {"model": "starter:latest", "messages": HELLO, "max_tokens": 2, "stream": True}
    assert client.post("/v1/chat/completions", json=body).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("name", ["starter", "embedder", "tiny"])
def test_row_11_show_always_has_an_object_model_info(client: httpx.Client, name: str) -> None:
    for body in ({"model": name}, {"name": name}, {"model": "", "name": name, "options": None}):
        assert client.post("/api/show", json=body).json()["model_info"]["general.architecture"]


def test_row_12_capabilities_are_told_and_true(client: httpx.Client) -> None:
    tagged = listed(client)
    for name, wanted in (("starter", "completion"), ("tiny", "completion"), ("embedder", "embedding")):
        assert tagged[f"{name}:latest"]["capabilities"] == shown(client, name)["capabilities"] == [wanted]


def test_row_13_name_and_model_are_the_same_with_a_tag(client: httpx.Client) -> None:
    for path in ("/api/tags", "/api/ps"):
        chat(client)
        found = client.get(path).json()["models"]
        assert found
        assert all(each["model"] == each["name"] and ":" in each["name"] for each in found)


@pytest.mark.parametrize("spelled", ["tiny", "TINY:latest", "library/tiny", "registry.ollama.ai/library/tiny:latest"])
def test_row_14_ps_names_a_model_as_tags_do(client: httpx.Client, spelled: str) -> None:
    assert client.post("/api/generate", json={"model": spelled, "prompt": ""}).status_code == 200
    running = listed(client, "/api/ps")["tiny:latest"]
    assert running["digest"] == listed(client)["tiny:latest"]["digest"]


@pytest.mark.parametrize(("keep_alive", "years"), [(-1, 200), ("-1m", 200), ("5m", 0), (3600, 0)])
def test_row_15_expiry_is_a_time_python_reads(client: httpx.Client, keep_alive: object, years: int) -> None:
    client.post("/api/generate", json={**LOADING, "keep_alive": keep_alive})
    told = datetime.datetime.fromisoformat(listed(client, "/api/ps")["starter:latest"]["expires_at"])
    left = told - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=years * 365) < left <= datetime.timedelta(days=300 * 365 if years else 1)


def test_row_16_an_empty_prompt_loads_or_unloads_and_says_nothing(program: Program, client: httpx.Client) -> None:
    told = [client.post("/api/generate", json={**LOADING, "keep_alive": given}).json() for given in ("5m", 0)]
    assert [(each["response"], each["done"], each["done_reason"]) for each in told] == [
        ("", True, "load"),
        ("", True, "unload"),
    ]
    program.until_gone()


WRONG: tuple[tuple[str, str, str, int], ...] = (
    ("POST", "/api/chat", "{", 400),
    ("POST", "/api/chat", '{"model":"nope","messages":[{"role":"user","content":"x"}]}', 404),
    ("POST", "/api/generate", '{"model":"starter","prompt":"x","options":{"seed":"x"}}', 500),
    ("POST", "/api/generate", '{"model":"embedder","prompt":"x"}', 400),
    ("POST", "/api/show", "{}", 400),
    ("POST", "/api/pull", '{"name":"a b"}', 400),
    ("POST", "/api/create", '{"model":"x"}', 400),
    ("POST", "/api/copy", '{"source":"nope","destination":"x"}', 404),
    ("DELETE", "/api/delete", '{"model":"nope"}', 404),
    ("POST", "/api/blobs/sha256:x", "data", 400),
)


@pytest.mark.parametrize(("method", "path", "body", "status"), WRONG)
def test_row_17_every_error_has_an_error_key(
    client: httpx.Client, method: str, path: str, body: str, status: int
) -> None:
    reply = client.request(method, path, content=body)
    assert (reply.status_code, list(reply.json())) == (status, ["error"])
    assert isinstance(reply.json()["error"], str)
    assert reply.headers["content-type"].partition(";")[0] == "application/json"


def test_row_17_v1_has_an_object(client: httpx.Client) -> None:
    for body in ("{", '{"model":"nope","messages":[{"role":"user","content":"x"}]}'):
        error = client.post("/v1/chat/completions", content=body).json()["error"]
        assert {"message", "type", "param", "code"} <= set(error)


@pytest.mark.parametrize("stream", [True, False])
def test_row_18_a_model_that_cannot_be_loaded_is_a_status(
    program: Program, client: httpx.Client, tmp_path: Path, stream: bool
) -> None:
    file = make_tiny(tmp_path / "broken.gguf", seed=9)
    name = f"broken-{stream}".lower()
    assert hoshikage(program.home, "add", str(file), name).returncode == 0
    os.truncate(file, file.stat().st_size // 2)
    reply = chat(client, model=name, stream=stream)
    assert (reply.status_code, list(reply.json())) == (500, ["error"])


def test_row_19_an_upload_in_pieces_becomes_a_model(client: httpx.Client, tmp_path: Path) -> None:
    data = make_tiny(tmp_path / "uploaded.gguf", seed=5).read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    pieces = (data[at : at + 10_000] for at in range(0, len(data), 10_000))
    assert client.post(f"/api/blobs/{digest}", content=pieces).status_code == 201
    body = {"model": "uploaded", "files": {"uploaded.gguf": digest}, "stream": False}
    assert client.post("/api/create", json=body).json() == {"status": "success"}
    assert chat(client, model="uploaded", stream=False).json()["eval_count"] > 0
    assert client.request("DELETE", "/api/delete", json={"model": "uploaded"}).status_code == 200


def test_row_20_floats_nulls_empty_formats_and_unknown_fields_are_taken(client: httpx.Client) -> None:
    options: dict[str, Any] = {
        "num_predict": 2.0,
        "top_k": 40.0,
        "seed": 7.0,
        "num_ctx": 2048.0,
        "stop": None,
        "nonsense": {},
    }
    more: dict[str, Any] = {
        "format": "",
        "metadata": {"a": 1},
        "user": "me",
        "keep_alive": None,
        "stream": False,
        "tools": [],
    }
    found = chat(client, options=options, **more)
    assert (found.status_code, found.json()["eval_count"] <= 2) == (200, True)
    assert "x-hoshikage-warning" not in found.headers


def test_row_20_embed_takes_a_prompt_too(client: httpx.Client) -> None:
    replies = [client.post("/api/embed", json={"model": "embedder", name: "sky"}) for name in ("input", "prompt")]
    one, other = (reply.json()["embeddings"] for reply in replies)
    assert one == other
    assert len(one) == 1


def test_row_21_a_large_window_is_capped_and_said(client: httpx.Client) -> None:
    reply = chat(client, options={**SHORT, "num_ctx": 100_000})
    assert (reply.status_code, reply.headers["x-hoshikage-warning"]) == (200, "num_ctx-capped=8192")


@pytest.mark.parametrize(("num_ctx", "status", "said"), [(2**31 - 1, 503, "bytes are needed"), (2**40, 400, "integer")])
def test_row_21_a_window_that_no_memory_holds_is_refused(
    client: httpx.Client, num_ctx: int, status: int, said: str
) -> None:
    reply = chat(client, options={"num_ctx": num_ctx})
    assert reply.status_code == status
    assert "num_ctx" in reply.json()["error"]
    assert said in reply.json()["error"]


def test_row_22_what_one_request_asks_does_not_change_the_loaded_model(program: Program, client: httpx.Client) -> None:
    chat(client, keep_alive=0)
    program.until_gone()
    evil = {"n_ctx": 16, "model_path": "/dev/null", "lora": "/dev/null", "mmproj": "/dev/null", "kv_overrides": "x"}
    chat(client, options={**SHORT, "num_ctx": 64, "temperature": 0, "num_keep": 1, **evil})
    before, pid = listed(client, "/api/ps")["starter:latest"], program.worker_pid()
    long = [{"role": "user", "content": "word " * 100}]
    assert chat(client, messages=long).status_code == 200
    assert (before["context_length"], program.worker_pid()) == (8192, pid)


def test_row_24_probes_and_wrong_methods(client: httpx.Client) -> None:
    assert [client.head(path).status_code for path in ("/", "/api/tags", "/api/version")] == [200] * 3
    assert client.get("/").text == "Ollama is running"
    wrong = client.get("/api/chat")
    assert (wrong.status_code, wrong.headers["allow"], client.get("/api/none").status_code) == (405, "POST", 404)


def test_row_25_what_is_told_of_a_model_is_the_models_own(client: httpx.Client, starter: Path) -> None:
    tagged = listed(client)
    one, other = tagged["starter:latest"], tagged["tiny:latest"]
    assert starter.stat().st_size <= one["size"] < starter.stat().st_size + 10_000 < other["size"] + 98_400_000
    assert re.fullmatch("[0-9a-f]{64}", one["digest"])
    assert one["digest"] != other["digest"]
    assert (one["details"]["parameter_size"], one["details"]["quantization_level"]) == ("134.52M", "Q4_1")
    assert (other["details"]["family"], other["details"]["context_length"]) == ("llama", 256)
    assert other["details"]["parameter_size"] != one["details"]["parameter_size"]
    assert shown(client)["model_info"]["general.parameter_count"] == 134_515_008


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api/version"),
        ("GET", "/api/tags"),
        ("GET", "/api/ps"),
        ("POST", "/api/show"),
        ("POST", "/api/chat"),
        ("POST", "/api/generate"),
        ("POST", "/api/pull"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("HEAD", f"/api/blobs/sha256:{'0' * 64}"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/status"),
        ("GET", "/api/nope"),
        ("PUT", "/api/tags"),
    ],
)
def test_row_26_one_cors_policy_for_every_route(client: httpx.Client, method: str, path: str) -> None:
    allowed = client.request(method, path, headers=ORIGIN)
    assert allowed.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert client.request("OPTIONS", path, headers=ORIGIN).status_code == 204
    foreign = client.request(method, path, headers={"Origin": "https://evil.example"})
    assert (foreign.status_code, foreign.content) == (403, b"")


def test_row_26_a_browser_may_read_a_stream(client: httpx.Client) -> None:
    body = {"model": "starter", "messages": HELLO, "options": SHORT}
    reply = client.post("/api/chat", json=body, headers=ORIGIN)
    assert reply.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert lines(reply)[-1]["done"]


def test_row_27_what_open_webui_does_with_models_needs_no_key(program: Program, client: httpx.Client) -> None:
    client.headers["authorization"] = "Bearer anything"
    chat(client, model="starter:latest")
    assert {"starter:latest"} <= set(listed(client)) & set(listed(client, "/api/ps"))
    ejected = client.post("/api/generate", json={"model": "starter:latest", "keep_alive": 0, "prompt": ""})
    assert ejected.json()["done_reason"] == "unload"
    made = client.post("/api/create", json={"model": "mine", "from": "tiny", "system": "x"})
    assert lines(made)[-1] == {"status": "success"}
    assert client.request("DELETE", "/api/delete", json={"model": "mine:latest"}).status_code == 200
    wanted = {"name": "no/such:name:x", "model": "no/such:name:x", "insecure": True}
    assert "error" in client.post("/api/pull", json=wanted).json()
    program.until_gone()
