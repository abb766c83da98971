"""Vectors 9 to 11, 14 to 16 and 23 of the contract: loading, streams, options, and what a model cannot do."""

import json
from typing import Any

import httpx
import pytest

from tests.program import Program

NAME = "starter"
SHORT = {"num_predict": 3, "seed": 1}
METRICS = "total_duration load_duration prompt_eval_count prompt_eval_duration eval_count eval_duration".split()


def generate(client: httpx.Client, **more: Any) -> httpx.Response:
    asked = {"model": NAME, "prompt": "Say hello.", "options": SHORT, "stream": False, **more}
    return client.post("/api/generate", json=asked)


def error(reply: httpx.Response) -> tuple[int, Any]:
    return reply.status_code, reply.json().get("error")


def test_vector_09_a_request_without_a_prompt_loads_and_unloads(client: httpx.Client, server: Program) -> None:
    loaded = client.post("/api/generate", json={"model": NAME}).json()
    assert list(loaded) == ["model", "created_at", "response", "done", "done_reason"]
    assert (loaded["response"], loaded["done"], loaded["done_reason"]) == ("", True, "load")
    gone = client.post("/api/generate", json={"model": NAME, "keep_alive": 0}).json()
    assert gone["done_reason"] == "unload"
    server.until_gone()
    assert client.get("/api/ps").json() == {"models": []}


def test_vector_10_a_stream_is_lines_of_which_the_last_has_the_metrics(client: httpx.Client) -> None:
    reply = generate(client, stream=True)
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert (reply.content.endswith(b"}\n"), b"\n\n" in reply.content) == (True, False)
    *first, last = [json.loads(line) for line in reply.text.splitlines()]
    assert all(list(each) == ["model", "created_at", "response", "done"] for each in first)
    own = "prompt_eval_cached_count"  # beside prompt_eval_count
    assert [name for name in last if name not in {own, "hoshikage"}] == [
        *("model", "created_at", "response", "done", "done_reason", "context"),
        *METRICS,
    ]


def test_vector_10_without_stream_it_is_one_object(client: httpx.Client) -> None:
    reply = generate(client)
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert not reply.content.endswith(b"\n")
    assert (reply.json()["done"], reply.json()["done_reason"]) == (True, "length")


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ({"temperature": "hot"}, 500, 'option "temperature" must be of type float32'),
        ({"stop": "x"}, 500, 'option "stop" must be of type array'),
        ({"mirostat": 1}, 200, None),
    ],
)
def test_vector_11_options_have_types(client: httpx.Client, options: Any, status: int, text: str | None) -> None:
    assert error(generate(client, options={**SHORT, **options})) == (status, text)


def test_vector_14_to_think_is_declined_with_a_warning(client: httpx.Client) -> None:
    reply = generate(client, think=True)
    assert (reply.status_code, reply.headers["x-hoshikage-warning"]) == (200, "think-ignored")


def test_vector_14_not_to_think_is_fine_and_to_think_somehow_is_not(client: httpx.Client, strict: httpx.Client) -> None:
    text = 'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)'
    for each in (client, strict):
        assert generate(each, think=False).status_code == 200
        assert error(generate(each, think="x")) == (400, text)


def test_vector_14_strict_to_think_is_refused(strict: httpx.Client) -> None:
    assert error(generate(strict, think=True)) == (400, f'"{NAME}" does not support thinking')
    loading = strict.post("/api/chat", json={"model": NAME, "think": "high"})
    assert error(loading) == (400, f'"{NAME}" does not support thinking')


def test_strictly_tools_are_refused_where_the_template_has_none(strict: httpx.Client) -> None:
    asked = {"model": NAME, "messages": [{"role": "user", "content": "hi"}], "tools": [{"function": {"name": "f"}}]}
    text = f"registry.ollama.ai/library/{NAME}:latest does not support tools"
    assert error(strict.post("/api/chat", json=asked)) == (400, text)
    assert strict.post("/api/chat", json={"model": NAME, "tools": []}).json()["done_reason"] == "load"


def test_vector_15_raw_takes_no_system_prompt(client: httpx.Client) -> None:
    text = "raw mode does not support template, system, or context"
    for field, value in {"system": "x", "template": "x", "context": []}.items():
        assert error(generate(client, raw=True, **{field: value})) == (400, text)


def test_vector_16_strict_a_chat_model_does_not_insert(strict: httpx.Client) -> None:
    text = f"registry.ollama.ai/library/{NAME}:latest does not support insert"
    assert error(generate(strict, suffix="}")) == (400, text)


@pytest.mark.parametrize("model", ["starter:LATEST", "STARTER", "library/Starter"])
def test_vector_23_the_model_is_echoed_as_it_was_written(client: httpx.Client, model: str) -> None:
    assert generate(client, model=model).json()["model"] == model


@pytest.mark.parametrize("route", ["/api/chat", "/api/generate"])
def test_an_image_for_a_model_without_eyes_is_refused(client: httpx.Client, route: str) -> None:
    images = ["aGVsbG8="]
    message = {"role": "user", "content": "What is it?", "images": images}
    asked = {"model": NAME, "prompt": "What is it?", "images": images, "messages": [message], "options": SHORT}
    status, text = error(client.post(route, json=asked))
    assert (status, text.startswith('"starter" does not support')) == (400, True)
