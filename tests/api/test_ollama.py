"""The Ollama dialect over HTTP, with the real engine."""

import json
from typing import Any

import httpx
import pytest

from tests.program import Program

HELLO = [{"role": "user", "content": "Say hello."}]
SHORT = {"num_predict": 8, "seed": 1}


@pytest.fixture
def client(server: Program) -> Any:
    with server.client() as client:
        yield client


def chat(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/api/chat", json={"model": "starter", "messages": HELLO, "options": SHORT, **more})


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.content.endswith(b"\n")
    return [json.loads(line) for line in reply.content.decode().removesuffix("\n").split("\n")]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
def test_probes_are_answered(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 200


def test_the_root_says_ollama_is_running(client: httpx.Client) -> None:
    reply = client.get("/")
    assert reply.text == "Ollama is running"
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"


def test_the_version_is_dotted_integers(client: httpx.Client) -> None:
    assert [int(part) for part in client.get("/api/version").json()["version"].split(".")] >= [0, 33, 0]


def test_a_chat_streams_lines_and_ends_with_done_and_metrics(client: httpx.Client) -> None:
    reply = chat(client)
    assert reply.headers["content-type"] == "application/x-ndjson"
    *deltas, last = lines(reply)
    assert all(d["done"] is False and d["message"]["content"] for d in deltas)
    assert list(last)[:5] == ["model", "created_at", "message", "done", "done_reason"]
    assert (last["done_reason"], last["eval_count"], last["message"]["content"]) == ("length", 8, "")
    assert last["prompt_eval_count"] > 8
    assert all(last[name] > 0 for name in ("total_duration", "load_duration", "eval_duration"))


def test_one_object_has_the_same_text_as_the_stream(client: httpx.Client) -> None:
    whole = chat(client, stream=False)
    assert whole.headers["content-type"] == "application/json; charset=utf-8"
    streamed = "".join(line["message"]["content"] for line in lines(chat(client)))
    assert whole.json()["message"]["content"] == streamed
    assert not whole.content.endswith(b"\n")


def test_the_same_prompt_again_comes_from_the_cache(client: httpx.Client) -> None:
    chat(client)
    last = lines(chat(client))[-1]
    assert last["prompt_eval_cached_count"] == last["prompt_eval_count"] - 1


def test_the_model_is_echoed_as_it_was_asked_for(client: httpx.Client) -> None:
    assert chat(client, model="STARTER:Latest", stream=False).json()["model"] == "STARTER:Latest"


def test_generate_streams_responses_and_gives_a_context(client: httpx.Client) -> None:
    body = {"model": "starter", "prompt": "Count to three.", "options": SHORT}
    *deltas, last = lines(client.post("/api/generate", json=body))
    assert "".join(d["response"] for d in deltas)
    assert last["response"] == ""
    more = {"context": last["context"], "stream": False, "options": {"num_predict": 8}}
    again = client.post("/api/generate", json={**body, **more}).json()
    assert again["context"][: len(last["context"])] == last["context"]
    assert again["prompt_eval_cached_count"] >= len(last["context"]) - 1


def test_raw_sends_the_prompt_as_it_is_and_gives_no_context(client: httpx.Client) -> None:
    body = {"model": "starter", "prompt": "One two three", "raw": True, "stream": False, "options": SHORT}
    found = client.post("/api/generate", json=body).json()
    assert found["prompt_eval_count"] == 3
    assert "context" not in found


def test_stop_strings_end_the_answer_and_are_left_out(client: httpx.Client) -> None:
    body = {"model": "starter", "prompt": "1 2 3 4 5 6", "raw": True, "stream": False}
    options = {"temperature": 0, "num_predict": 60, "stop": ["9"]}
    found = client.post("/api/generate", json={**body, "options": options}).json()
    assert (found["done_reason"], "9" in found["response"], "8" in found["response"]) == ("stop", False, True)


@pytest.mark.parametrize("route", ["/api/chat", "/api/generate"])
def test_an_empty_request_loads_and_keep_alive_zero_unloads(client: httpx.Client, server: Program, route: str) -> None:
    loaded = client.post(route, json={"model": "starter"}).json()
    assert (loaded["done"], loaded["done_reason"]) == (True, "load")
    assert "total_duration" not in loaded
    assert [m["name"] for m in client.get("/api/ps").json()["models"]] == ["starter:latest"]
    assert client.post(route, json={"model": "starter", "keep_alive": 0}).json()["done_reason"] == "unload"
    server.until_gone()
    assert client.get("/api/ps").json() == {"models": []}


def test_ps_tells_size_window_and_expiry(client: httpx.Client) -> None:
    chat(client, keep_alive="10m")
    found = client.get("/api/ps").json()["models"][0]
    names = ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length", "hoshikage"]
    assert list(found) == names
    how = {"kv_types": {"k": "f16", "v": "f16"}, "gpu_layers": 0, "warnings": []}
    assert found["hoshikage"] == {"state": "idle", "progress": 1.0, "running": 0, "waiting": 0, **how}
    assert found["context_length"] == 8192
    assert found["digest"] == client.get("/api/tags").json()["models"][0]["digest"]


def test_load_options_for_a_loaded_model_are_ignored_and_said(client: httpx.Client) -> None:
    options = {"num_ctx": 2048, "num_batch": 64, "num_thread": 1, "main_gpu": -1, "num_predict": 1}
    chat(client)
    warned = chat(client, options=options).headers["x-hoshikage-warning"]
    assert warned == "option-ignored=num_batch, option-ignored=num_thread"
    client.post("/api/chat", json={"model": "starter", "keep_alive": 0})
    assert "x-hoshikage-warning" not in chat(client, options=options).headers
    loaded = client.post("/api/chat", json={"model": "starter", "options": {"num_thread": 2}})
    assert loaded.headers["x-hoshikage-warning"] == "option-ignored=num_thread"
    client.post("/api/chat", json={"model": "starter", "keep_alive": 0})


def test_show_is_truthful(client: httpx.Client) -> None:
    found = client.post("/api/show", json={"name": "starter"}).json()
    info = found["model_info"]
    assert (info["general.architecture"], info["llama.context_length"]) == ("llama", 8192)
    assert info["tokenizer.ggml.tokens"] is None
    assert info["general.parameter_count"] == 134_515_008
    assert found["capabilities"] == ["completion"]
    assert found["details"]["quantization_level"] == "Q4_1"
    assert "<|im_start|>" in found["template"]
    assert len(found["tensors"]) > 100


def test_show_verbose_has_the_whole_vocabulary(client: httpx.Client) -> None:
    found = client.post("/api/show", json={"model": "starter", "verbose": True}).json()
    assert len(found["model_info"]["tokenizer.ggml.tokens"]) == 49152


@pytest.mark.parametrize(
    ("route", "body", "status", "error"),
    [
        ("/api/chat", "", 400, "missing request body"),
        ("/api/chat", "null", 400, "model is required"),
        ("/api/generate", "{}", 404, "model '' not found"),
        ("/api/chat", '{"model":"a b"}', 400, "invalid model name"),
        ("/api/generate", '{"model":"nope"}', 404, "model 'nope' not found"),
        ("/api/chat", '{"model":"nope"}', 404, "model 'nope' not found"),
        ("/api/show", '{"model":"nope"}', 404, "model 'nope:latest' not found"),
        ("/api/show", "{}", 400, "model is required"),
        ("/api/generate", '{"model":"starter","top_logprobs":21}', 400, "top_logprobs must be between 0 and 20"),
        ("/api/chat", '{"model":"starter","keep_alive":"5"}', 400, 'time: missing unit in duration "5"'),
        ("/api/chat", '{"model":"starter","keep_alive":true}', 400, "Unsupported type: 'bool'"),
        (
            "/api/generate",
            '{"model":"starter","prompt":"x","options":{"temperature":"hot"}}',
            500,
            'option "temperature" must be of type float32',
        ),
        (
            "/api/generate",
            '{"model":"starter","prompt":"x","options":{"stop":"x"}}',
            500,
            'option "stop" must be of type array',
        ),
        (
            "/api/generate",
            '{"model":"starter","prompt":"x","raw":true,"system":"y"}',
            400,
            "raw mode does not support template, system, or context",
        ),
        (
            "/api/generate",
            '{"model":"starter","prompt":"x","suffix":"y"}',
            400,
            "registry.ollama.ai/library/starter:latest does not support insert",
        ),
    ],
)
def test_bad_requests_get_the_contracts_words(
    client: httpx.Client, route: str, body: str, status: int, error: str
) -> None:
    reply = client.post(route, content=body)
    assert (reply.status_code, reply.json()) == (status, {"error": error})
    assert reply.headers["content-type"] == "application/json; charset=utf-8"


def test_unknown_options_and_keys_are_ignored(client: httpx.Client) -> None:
    options = {**SHORT, "mirostat": 1, "numa": True, "top_k": 40.0, "num_ctx": None}
    assert chat(client, options=options, metadata={"x": 1}, format="").status_code == 200


def test_a_prompt_over_the_window_is_refused_with_both_numbers(client: httpx.Client) -> None:
    reply = chat(client, messages=[{"role": "user", "content": "word " * 3000}], options={"num_ctx": 2048})
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/json"  # the stream has begun, in Ollama
    assert "3031 tokens" in reply.json()["error"]
    assert "2048 tokens" in reply.json()["error"]


def test_generation_ends_at_the_window_with_length(client: httpx.Client) -> None:
    found = chat(client, stream=False, options={"num_ctx": 64, "temperature": 0, "stop": []}).json()
    assert found["done_reason"] in {"length", "stop"}
    assert found["prompt_eval_count"] + found["eval_count"] <= 64


@pytest.mark.parametrize("name", ["num_ctx", "num_batch", "num_gpu"])
@pytest.mark.parametrize("value", [-(2**31) - 1, 2**31, 10**29])
def test_integers_outside_int32_are_refused(client: httpx.Client, name: str, value: int) -> None:
    reply = chat(client, options={name: value})
    assert reply.status_code == 400
    assert name in reply.json()["error"]


def test_tools_and_thinking_are_left_out_and_said_so(client: httpx.Client) -> None:
    reply = chat(client, tools=[{"type": "function", "function": {"name": "f"}}], think=True)
    assert reply.status_code == 200
    assert reply.headers["x-hoshikage-warning"] == "think-ignored, tools-ignored"


def test_a_num_ctx_over_the_window_is_capped_and_said_so(client: httpx.Client) -> None:
    reply = chat(client, options={**SHORT, "num_ctx": 100_000})
    assert reply.status_code == 200
    assert reply.headers["x-hoshikage-warning"] == "num_ctx-capped=8192"


def test_html_is_escaped_as_go_escapes_it(client: httpx.Client) -> None:
    reply = client.post("/api/show", json={"model": "starter"})
    assert b"\\u003c|im_start|\\u003e" in reply.content
    assert b"<" not in reply.content


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/api/show", "POST"), ("POST", "/api/tags", "HEAD, GET"), ("HEAD", "/api/ps", "GET")],
)
def test_a_wrong_method_is_405_with_allow(client: httpx.Client, method: str, path: str, allow: str) -> None:
    reply = client.request(method, path)
    assert (reply.status_code, reply.headers["allow"]) == (405, allow)


def test_an_unknown_path_is_gos_404(client: httpx.Client) -> None:
    reply = client.get("/api/nope")
    assert (reply.status_code, reply.text) == (404, "404 page not found")
    assert reply.headers["content-type"] == "text/plain"


def test_a_foreign_host_or_origin_is_refused(client: httpx.Client) -> None:
    assert client.get("/api/tags", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/api/tags", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/api/tags", headers={"Host": "foo.local"}).status_code == 200
