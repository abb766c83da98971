"""The OpenAI dialect over HTTP, with the real engine."""

import json
from typing import Any

import httpx
import pytest

from tests.program import Program

HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def client(server: Program) -> Any:
    with server.client() as client:
        yield client


def ask(client: httpx.Client, **more: Any) -> httpx.Response:
    body = {"model": "starter", "messages": HELLO, "max_tokens": 8, "seed": 1, **more}
    return client.post("/v1/chat/completions", json=body)


def events(reply: httpx.Response) -> list[dict[str, Any]]:
    blocks = reply.text.removesuffix("\n\n").split("\n\n")
    assert blocks[-1] == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-1]]


def test_one_object_has_every_required_key(client: httpx.Client) -> None:
    found = ask(client).json()
    assert list(found) == ["id", "object", "created", "model", "system_fingerprint", "choices", "usage", "hoshikage"]
    choice = found["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"]
    usage = found["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_has_role_text_finish_usage_and_done(client: httpx.Client) -> None:
    reply = ask(client, stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    first, *middle, finish, usage = events(reply)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert all(chunk["choices"][0]["delta"]["content"] for chunk in middle)
    assert (finish["choices"][0]["delta"], finish["choices"][0]["finish_reason"]) == ({}, "length")
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 8)
    assert len({chunk["id"] for chunk in [first, *middle, finish, usage]}) == 1


def test_without_the_option_no_usage_is_sent(client: httpx.Client) -> None:
    assert not [chunk for chunk in events(ask(client, stream=True)) if "usage" in chunk]


def test_parts_of_text_are_joined_and_developer_is_system(client: httpx.Client) -> None:
    parts = [{"type": "text", "text": "Say"}, {"type": "text", "text": "hello."}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert ask(client, messages=messages).status_code == 200


def test_nulls_and_unknown_keys_are_passed_over(client: httpx.Client) -> None:
    assert ask(client, temperature=None, stop=None, n=1, user="me", store=False, seed=3.0, xyz={}).status_code == 200


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": [{"role": "clown", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0].type",
            "unsupported_value",
        ),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"response_format": "json"}, "response_format", "invalid_type"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        ({"response_format": {"type": "json_schema", "json_schema": 1}}, "response_format.json_schema", "invalid_type"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"logprobs": "yes"}, "logprobs", "invalid_type"),
        ({"logit_bias": {"hello": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": 101}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": True}}, "logit_bias", "invalid_value"),
        ({"dry_sequence_breakers": "x"}, "dry_sequence_breakers", "invalid_type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice", "unsupported_parameter"),
        ({"seed": 1.5}, "seed", "invalid_type"),
        ({"temperature": -0.1}, "temperature", "bad_request"),
        ({"top_p": 1.5}, "top_p", "bad_request"),
        ({"mirostat": 3}, "mirostat", "bad_request"),
        ({"seed": 1e30}, "seed", "bad_request"),
    ],
)
def test_a_bad_field_is_named(client: httpx.Client, more: dict[str, Any], param: str, code: str) -> None:
    reply = ask(client, **more)
    error = reply.json()["error"]
    assert reply.status_code == 400
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


@pytest.mark.parametrize("body", ["", "{", "[]", '{"model": 1}', "\xff", '{"messages": []}', "NaN", "[" * 100_000])
def test_a_bad_body_is_400_never_500(client: httpx.Client, body: str) -> None:
    reply = client.post("/v1/chat/completions", content=body.encode("latin-1"))
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]


def test_an_unknown_model_is_404(client: httpx.Client) -> None:
    error = ask(client, model="nope").json()["error"]
    assert (error["param"], error["code"]) == ("model", "model_not_found")


def test_a_prompt_over_the_window_is_400_with_both_numbers(client: httpx.Client) -> None:
    error = ask(client, messages=[{"role": "user", "content": "word " * 3000}], num_ctx=2048).json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "2048" in error["message"]


def test_what_was_not_done_is_said_in_a_header(client: httpx.Client) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    reply = ask(client, tools=tools, num_ctx=100_000)
    assert reply.headers["x-hoshikage-warning"] == "tools-ignored, num_ctx-capped=8192"


def test_models_are_listed_and_shown(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    card = listed["data"][0]
    assert (card["id"], card["object"], card["owned_by"]) == ("starter", "model", "library")
    assert client.get("/v1/models/starter:latest").json() == card
    assert client.get("/v1/models/").json() == listed
    assert client.get("/v1/models/nope").status_code == 404


def test_unknown_routes_and_methods_answer_json(client: httpx.Client) -> None:
    assert client.get("/v1/nope").json()["error"]["type"] == "not_found_error"
    assert client.get("/v1/chat/completions").status_code == 405
    assert client.get("/v1/chat/completions").headers["allow"] == "POST"


def test_the_status_is_ok(client: httpx.Client) -> None:
    assert client.get("/v1/status").json()["status"] == "ok"
