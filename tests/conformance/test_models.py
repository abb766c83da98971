"""Vectors 17 to 22 of the contract: embeddings, blobs, and what is told of models and changes them."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from hoshikage.models.manifest import place
from hoshikage.models.names import parse
from tests.program import Program

NAME = "starter"


def error(reply: httpx.Response) -> tuple[int, Any]:
    return reply.status_code, reply.json()["error"]


@pytest.mark.parametrize("given", [{"input": []}, {"input": ""}, {"input": None}, {}])
def test_vector_17_without_inputs_there_are_no_vectors(client: httpx.Client, given: dict[str, Any]) -> None:
    reply = client.post("/api/embed", json={"model": NAME, **given})
    assert reply.text == '{"model":"starter","embeddings":[]}'


@pytest.mark.parametrize("model", [NAME, "nope"])
@pytest.mark.parametrize("value", [[1], 1, {}, False, ["a", None]])
def test_vector_17_an_input_that_is_no_text_is_refused_first(client: httpx.Client, model: str, value: Any) -> None:
    reply = client.post("/api/embed", json={"model": model, "input": value})
    assert error(reply) == (400, "invalid input type")


def test_vector_18_a_blob_is_taken_by_its_digest(client: httpx.Client, tmp_path: Path) -> None:
    data = str(tmp_path).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert error(client.post("/api/blobs/sha256:x", content=data)) == (400, "invalid digest format")
    assert client.head(f"/api/blobs/{digest}").status_code == 404
    wrong = client.post(f"/api/blobs/{digest}", content=b"else")
    actual = hashlib.sha256(b"else").hexdigest()
    assert error(wrong) == (400, f'digest mismatch, expected "{digest}", got "sha256:{actual}"')
    assert [client.post(f"/api/blobs/{digest}", content=data).status_code for _ in range(2)] == [201, 200]


def test_vector_19_a_model_is_made_of_something_that_is_there(client: httpx.Client) -> None:
    nothing = client.post("/api/create", json={"model": "x"})
    assert error(nothing) == (400, "neither 'from' or 'files' was specified")
    outside = client.post("/api/create", json={"model": "x", "files": {"../x": f"sha256:{'0' * 64}"}})
    assert error(outside) == (400, "file path must be relative")


def test_vector_20_a_copy_has_the_digest_and_is_deleted_once(client: httpx.Client) -> None:
    copied = client.post("/api/copy", json={"source": NAME, "destination": "vector-20"})
    assert (copied.status_code, copied.content) == (200, b"")
    digests = {each["name"]: each["digest"] for each in client.get("/api/tags").json()["models"]}
    assert digests["vector-20:latest"] == digests["starter:latest"]
    deleted = client.request("DELETE", "/api/delete", json={"model": "vector-20"})
    assert (deleted.status_code, deleted.content) == (200, b"")
    again = client.request("DELETE", "/api/delete", json={"model": "vector-20"})
    assert error(again) == (404, "model 'vector-20' not found")


def test_vector_21_show_has_what_the_clients_need(client: httpx.Client) -> None:
    short = client.post("/api/show", json={"model": NAME}).json()
    whole = client.post("/api/show", json={"name": NAME, "verbose": True}).json()
    assert short["model_info"]["general.architecture"] == "llama"
    assert short["model_info"]["tokenizer.ggml.tokens"] is None
    assert len(whole["model_info"]["tokenizer.ggml.tokens"]) == 49152
    assert short["tensors"] == whole["tensors"]
    assert list(short["tensors"][0]) == ["name", "type", "shape"]


def test_vector_22_a_digest_is_the_sha256_of_the_manifest(client: httpx.Client, server: Program) -> None:
    [digest] = [each["digest"] for each in client.get("/api/tags").json()["models"] if each["name"] == "starter:latest"]
    data = place(server.home, parse(NAME)).read_bytes()
    assert digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("agent", "name"), [("GitHubCopilotChat/0.31", "STARTER"), ("ollama/0.33", "smollm2")])
def test_copilot_is_shown_the_name_that_it_asked_for(client: httpx.Client, agent: str, name: str) -> None:
    reply = client.post("/api/show", json={"model": "STARTER"}, headers={"user-agent": agent}).json()
    assert reply["model_info"]["general.basename"] == name
    assert list(reply["model_info"]) == sorted(reply["model_info"])


def test_without_a_license_layer_the_files_own_is_shown(client: httpx.Client) -> None:
    assert client.post("/api/show", json={"model": NAME}).json()["license"] == "apache-2.0"
