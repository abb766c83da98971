"""Vectors 7, 8, 12, 13 and 24 to 27 of the contract: bodies, names, and what is refused before anything is done."""

from typing import Any

import httpx
import pytest

NAME = "starter"
CHAT, GENERATE = "/api/chat", "/api/generate"


def refused(reply: httpx.Response, status: int, text: str) -> bool:
    """Whether it is Ollama's error, and nothing else."""
    return (reply.status_code, reply.json()) == (status, {"error": text})


@pytest.mark.parametrize(
    ("route", "body", "status", "text"),
    [
        (CHAT, "", 400, "missing request body"),
        (CHAT, "null", 400, "model is required"),
        (GENERATE, "{}", 404, "model '' not found"),
    ],
)
def test_vector_07_a_body_that_asks_nothing_is_refused(
    client: httpx.Client, route: str, body: str, status: int, text: str
) -> None:
    assert refused(client.post(route, content=body), status, text)


@pytest.mark.parametrize("route", [CHAT, GENERATE, "/api/embed", "/api/embeddings", "/api/show"])
def test_vector_08_a_name_that_is_none_is_invalid(client: httpx.Client, route: str) -> None:
    assert refused(client.post(route, json={"model": "a b"}), 400, "invalid model name")


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (GENERATE, "model 'nope' not found"),
        (CHAT, "model 'nope' not found"),
        ("/api/embed", 'model "nope" not found, try pulling it first'),
        ("/api/embeddings", 'model "nope" not found, try pulling it first'),
        ("/api/show", "model 'nope:latest' not found"),
    ],
)
def test_vector_08_a_name_that_is_not_here_is_quoted_as_its_route_quotes_it(
    client: httpx.Client, route: str, text: str
) -> None:
    assert refused(client.post(route, json={"model": "nope"}), 404, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("", 'time: invalid duration ""'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        (True, "Unsupported type: 'bool'"),
    ],
)
@pytest.mark.parametrize("route", [CHAT, GENERATE, "/api/embed", "/api/embeddings"])
@pytest.mark.parametrize("model", [NAME, "nope"])
def test_vector_12_keep_alive_is_read_before_the_model_is_looked_up(
    client: httpx.Client, route: str, model: str, value: Any, text: str
) -> None:
    assert refused(client.post(route, json={"model": model, "keep_alive": value}), 400, text)


@pytest.mark.parametrize("model", [NAME, "nope", "a b"])
@pytest.mark.parametrize("route", [CHAT, GENERATE])
def test_vector_13_top_logprobs_is_checked_before_the_model(client: httpx.Client, route: str, model: str) -> None:
    reply = client.post(route, json={"model": model, "top_logprobs": 21})
    assert refused(reply, 400, "top_logprobs must be between 0 and 20")


def test_vector_24_content_in_parts_is_not_ollamas(client: httpx.Client) -> None:
    reply = client.post(CHAT, json={"model": NAME, "messages": [{"role": "user", "content": []}]})
    field = "ChatRequest.messages.content of type string"
    assert refused(reply, 400, f"json: cannot unmarshal array into Go struct field {field}")


def test_vector_25_html_is_escaped(client: httpx.Client) -> None:
    found = client.post("/api/show", json={"model": NAME}).content
    assert b"\\u003c|im_start|\\u003e" in found
    assert b"<" not in found


def test_vector_26_what_follows_the_first_value_is_ignored(client: httpx.Client) -> None:
    assert client.post("/api/show", content='{"model":"starter"}{"model":"nope"}').status_code == 200
    assert client.post("/api/show", content='{"model":"starter"} hello').status_code == 200


def test_vector_27_unknown_keys_are_ignored_and_keys_fold_case(client: httpx.Client) -> None:
    assert client.post("/api/show", json={"MODEL": NAME, "no such key": [1]}).status_code == 200


def test_errors_are_json_with_a_charset(client: httpx.Client) -> None:
    for reply in (client.post(CHAT, content=""), client.post("/api/show", json={"model": "nope"})):
        assert reply.headers["content-type"] == "application/json; charset=utf-8"
