"""POST /api/embed and /api/embeddings on the real server: real MiniLM weights, and a model made for chats."""

import asyncio
import base64
import json
import math
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.program import Program, hoshikage, serve

REFERENCE = json.loads(Path("fixtures/minilm_reference.json").read_text(encoding="utf-8"))["texts"]
TEXTS = {name: str(entry["text"]) for name, entry in REFERENCE.items()}
SIDE_BY_SIDE = 14


@pytest.fixture(scope="module")
def embedder(server: Program, minilm: Path) -> Iterator[Program]:
    """The session's server with MiniLM beside the starter, for the time of these tests."""
    added = hoshikage(server.home, "add", str(minilm), "minilm")
    assert added.returncode == 0, added.stderr
    yield server
    assert hoshikage(server.home, "remove", "minilm").returncode == 0


@pytest.fixture
def client(embedder: Program) -> Iterator[httpx.Client]:
    with embedder.client() as made:
        yield made


def embed(client: httpx.Client, given: Any, **more: Any) -> httpx.Response:
    return client.post("/api/embed", json={"model": "minilm", "input": given, **more})


def likeness(one: list[float], other: Any) -> float:
    """The cosine of two vectors."""
    dot: float = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.hypot(*one) / math.hypot(*other)


def reference(name: str) -> "array[float]":
    return array("f", base64.b64decode(REFERENCE[name]["vector"]))


def digits(number: str) -> int:
    """How many of a decimal's digits tell something."""
    return len(number.partition("e")[0].replace(".", "").strip("-0"))


def error(reply: httpx.Response) -> tuple[int, Any]:
    return reply.status_code, reply.json()["error"]


def test_the_vectors_are_those_of_sentence_transformers(client: httpx.Client) -> None:
    names = list(TEXTS)[:5]
    found = embed(client, [TEXTS[name] for name in names]).json()
    assert list(found) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert found["prompt_eval_count"] == sum(len(REFERENCE[name]["tokens"]) for name in names)
    for name, vector in zip(names, found["embeddings"], strict=True):
        assert likeness(vector, reference(name)) > 0.999
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


def test_one_text_is_a_list_of_one_and_prompt_is_its_older_name(client: httpx.Client) -> None:
    one = embed(client, "星影").json()["embeddings"]
    older = client.post("/api/embed", json={"model": "minilm", "prompt": "星影"}).json()["embeddings"]
    assert (len(one), len(one[0]), older) == (1, 384, one)


def test_embed_writes_float32_and_embeddings_float64(client: httpx.Client) -> None:
    newer = embed(client, "hello").text.split("[[")[1].split("]")[0].split(",")
    older = client.post("/api/embeddings", json={"model": "minilm", "prompt": "hello"}).text
    assert older.startswith('{"embedding":[')
    wide = older.split("[")[1].split("]")[0].split(",")
    assert max(map(digits, newer)) <= 9 < max(map(digits, wide))
    assert list(array("f", map(float, newer))) == list(map(float, wide))


def test_dimensions_keep_a_prefix_of_length_one(client: httpx.Client) -> None:
    whole, cut = (embed(client, "hello", dimensions=size).json()["embeddings"][0] for size in (0, 64))
    assert len(cut) == 64
    assert cut == pytest.approx([each / math.hypot(*whole[:64]) for each in whole[:64]], abs=1e-5)
    assert all(len(embed(client, "x", dimensions=size).json()["embeddings"][0]) == 384 for size in (-1, 384, 9999))


def test_a_long_text_is_cut_and_said_so_or_refused(client: httpx.Client) -> None:
    long = "word " * 600
    reply = embed(client, [long, "short"])
    assert (reply.json()["prompt_eval_count"], reply.headers["x-hoshikage-warning"]) == (515, "inputs-cut=1")
    refused = error(embed(client, ["short", long], truncate=False))
    assert refused == (400, "the input length exceeds the context length")
    assert embed(client, long, options={"num_ctx": 40}).json()["prompt_eval_count"] == 40


def test_the_older_route_does_not_cut_and_calls_it_a_server_error(client: httpx.Client) -> None:
    status, text = error(client.post("/api/embeddings", json={"model": "minilm", "prompt": "word " * 600}))
    assert (status, text.startswith("the input length exceeds the context length")) == (500, True)


@pytest.mark.parametrize("route", ["/api/embed", "/api/embeddings"])
def test_nothing_to_embed_loads_the_model_for_as_long_as_asked(client: httpx.Client, route: str) -> None:
    assert client.post(route, json={"model": "minilm", "keep_alive": "1h"}).status_code == 200
    [found] = [each for each in client.get("/api/ps").json()["models"] if each["name"] == "minilm:latest"]
    assert found["hoshikage"]["state"] == "idle"
    empty = client.post("/api/embeddings", json={"model": "minilm", "prompt": ""})
    assert empty.text == '{"embedding":[]}'


@pytest.mark.parametrize(
    ("route", "body", "status", "text"),
    [
        ("/api/embed", {"model": ""}, 404, "model '' not found"),
        ("/api/embeddings", {"model": " "}, 400, "model is required"),
        ("/api/embed", {"model": "x:cloud"}, 403, "ollama cloud is disabled: remote model is unavailable"),
        (
            "/api/embed",
            {"model": "minilm", "options": {"num_ctx": "x"}},
            500,
            'option "num_ctx" must be of type integer',
        ),
        (
            "/api/embeddings",
            {"prompt": []},
            400,
            "json: cannot unmarshal array into Go struct field {}prompt of type string",
        ),
        (
            "/api/embed",
            {"truncate": 1},
            400,
            "json: cannot unmarshal number into Go struct field {}truncate of type bool",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_contracts_words(
    client: httpx.Client, route: str, body: Any, status: int, text: str
) -> None:
    struct = "EmbedRequest." if route == "/api/embed" else "EmbeddingRequest."
    assert error(client.post(route, json=body)) == (status, text.format(struct))


def test_a_model_for_chats_gives_vectors_too(client: httpx.Client) -> None:
    texts = ["The cat sleeps on the sofa.", "A kitten is napping on the couch.", "Share prices fell sharply today."]
    cat, kitten, shares = client.post("/api/embed", json={"model": "starter", "input": texts}).json()["embeddings"]
    assert likeness(cat, kitten) > likeness(cat, shares)


def test_strictly_a_model_for_chats_gives_none(starter: Path, tmp_path: Path) -> None:
    text = "This server does not support embeddings. Start it with `--embeddings`"
    with serve(tmp_path, starter, OLLAMA_STRICT="1") as program, program.client() as client:
        assert error(client.post("/api/embed", json={"model": "starter", "input": "x"})) == (501, text)
        assert error(client.post("/api/embeddings", json={"model": "starter", "prompt": "x"})) == (500, text)
        assert client.post("/api/embed", json={"model": "starter"}).json()["embeddings"] == []


async def test_many_requests_side_by_side_get_their_own_vectors(embedder: Program) -> None:
    names = (list(TEXTS) * 2)[:SIDE_BY_SIDE]
    async with httpx.AsyncClient(base_url=embedder.url, timeout=60) as client:
        asked = (client.post("/api/embed", json={"model": "minilm", "input": [TEXTS[name]]}) for name in names)
        replies = await asyncio.gather(*asked)
    for name, reply in zip(names, replies, strict=True):
        [vector] = reply.json()["embeddings"]
        assert likeness(vector, reference(name)) > 0.999
