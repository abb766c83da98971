"""What belongs to Ollama's cloud, and pushing, on a server that has neither (contract §6.12, §6.17)."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.program import Program


@pytest.fixture
def client(server: Program) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


def error(reply: httpx.Response) -> tuple[int, Any]:
    return reply.status_code, reply.json()["error"]


def test_the_cloud_is_off(client: httpx.Client) -> None:
    assert client.get("/api/status").text == '{"cloud":{"disabled":true,"source":"env"}}'
    assert client.get("/api/experimental/model-recommendations").text == '{"recommendations":[]}'


def test_nobody_is_signed_in(client: httpx.Client) -> None:
    assert error(client.post("/api/me")) == (401, "unauthorized")
    for method, path in (("POST", "/api/signout"), ("DELETE", "/api/user/keys/eA==")):
        assert error(client.request(method, path)) == (401, "you are not currently signed in")


@pytest.mark.parametrize("what", ["search", "fetch"])
def test_the_web_is_not_asked(client: httpx.Client, what: str) -> None:
    path = f"/api/experimental/web_{what}"
    assert error(client.post(path, content=" ")) == (400, "missing request body")
    assert error(client.post(path, json={"q": 1})) == (403, f"ollama cloud is disabled: web {what} is unavailable")


def test_a_model_cannot_be_pushed_and_the_answer_says_what_to_do(client: httpx.Client) -> None:
    for stream in (True, False):
        status, text = error(client.post("/api/push", json={"model": "Starter", "stream": stream}))
        assert status == 501
        assert all(each in text for each in ('"starter" cannot be pushed', "hf upload", "show --modelfile starter"))


def test_what_is_not_here_fails_to_be_pushed_as_in_ollama(client: httpx.Client, server: Program) -> None:
    assert error(client.post("/api/push", json={"name": " "})) == (400, "model is required")
    reply = client.post("/api/push", json={"name": "me/nope", "insecure": True})
    *told, last = [json.loads(line) for line in reply.text.splitlines()]
    assert [each["status"] for each in told] == ["retrieving manifest", "couldn't retrieve manifest"]
    path = server.home / "manifests/registry.ollama.ai/me/nope/latest"
    assert last["error"] == f"open {path}: no such file or directory"
    whole = client.post("/api/push", json={"model": "a b", "stream": False})
    assert error(whole) == (500, "invalid model name")
    assert whole.headers["content-type"] == "application/json"
