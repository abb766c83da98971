"""Rows of the README's contract table that no other test shows; the table itself, whose tests must be there."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import serve

ROOT = Path(__file__).parent.parent.parent
ROW = re.compile(r"^\|.*\| `(test_\w+)` \|$", re.MULTILINE)
HEAD = {
    "README.md": "| | Ollama | hoshikage | strict | test |",
    "README.ja.md": "| | Ollama | 星影 | strict | テスト |",
}
SAME = "a" * 64
"""Over twice as many tokens as Ollama lets a model repeat."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("unlike")
    with serve(folder / "home", make_tiny(folder / "tiny.gguf")) as program, program.client() as client:
        yield client


def test_an_answer_that_repeats_itself_ends_as_any_other(client: httpx.Client) -> None:
    body = {"model": "starter", "prompt": "x", "format": {"const": SAME}, "options": {"num_predict": 80}}
    lines = [json.loads(line) for line in client.post("/api/generate", json=body).text.splitlines()]
    assert json.loads("".join(line["response"] for line in lines)) == SAME
    assert (lines[-1]["done"], lines[-1]["done_reason"]) == (True, "stop")
    whole = client.post("/api/generate", json={**body, "stream": False}).json()
    assert (json.loads(whole["response"]), whole["done"]) == (SAME, True)


def test_show_lists_parameters_in_their_order(client: httpx.Client) -> None:
    given = {"top_k": 3, "seed": 1, "temperature": 0.5, "min_p": 0.1, "num_ctx": 64}
    made = {"model": "tuned", "from": "starter", "parameters": given, "stream": False}
    assert client.post("/api/create", json=made).json() == {"status": "success"}
    shown = client.post("/api/show", json={"model": "tuned"}).json()
    assert [line.split()[0] for line in shown["parameters"].splitlines()] == list(given)
    assert re.findall(r"^PARAMETER (\w+)", shown["modelfile"], re.MULTILINE) == list(given)


def test_a_local_model_may_have_a_tag_that_names_a_place(client: httpx.Client) -> None:
    for name in ("twin:cloud", "twin:local", "twin:8b-cloud"):
        client.post("/api/copy", json={"source": "starter", "destination": name})
        asked = {"model": name, "prompt": "x", "options": {"num_predict": 1}, "stream": False}
        assert client.post("/api/generate", json=asked).json()["model"] == name


def test_a_deleted_model_ends_unless_another_name_stands_for_it(client: httpx.Client, tmp_path: Path) -> None:
    def workers() -> set[int]:
        return {each["pid"] for each in client.get("/v1/status").json()["models"]}

    data = make_tiny(tmp_path / "other.gguf", seed=7).read_bytes()
    digest, others = f"sha256:{hashlib.sha256(data).hexdigest()}", workers()
    client.post(f"/api/blobs/{digest}", content=data)
    client.post("/api/create", json={"model": "one", "files": {"other.gguf": digest}, "stream": False})
    client.post("/api/copy", json={"source": "one", "destination": "two"})
    client.post("/api/generate", json={"model": "one"})
    client.request("DELETE", "/api/delete", json={"model": "one"})
    assert len(workers() - others) == 1
    assert "two:latest" in {each["name"] for each in client.get("/api/ps").json()["models"]}
    client.request("DELETE", "/api/delete", json={"model": "two"})
    assert workers() == others


def test_what_is_added_to_ollamas_answers(client: httpx.Client) -> None:
    asked = {"model": "starter", "prompt": "x", "options": {"num_predict": 1, "tfs_z": 1}}
    client.post("/api/generate", json=asked)
    reply = client.post("/api/generate", json=asked)
    usual = {"date", "content-type", "transfer-encoding"}
    own = {"x-hoshikage-context", "x-hoshikage-warning", "cache-control", "x-accel-buffering"}
    assert set(reply.headers) == usual | own
    last = json.loads(reply.text.splitlines()[-1])
    assert {"hoshikage", "prompt_eval_cached_count"} < set(last)
    asks = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
    allowed = client.options("/api/chat", headers=asks).headers["access-control-allow-headers"]
    assert {"X-Api-Key", "Api-Key"} < set(allowed.split(","))


def test_a_blob_may_be_named_as_its_file_is(client: httpx.Client) -> None:
    digest = hashlib.sha256(b"blob").hexdigest()
    assert client.post(f"/api/blobs/sha256-{digest}", content=b"blob").status_code == 201
    assert client.head(f"/api/blobs/sha256:{digest}").status_code == 200


def table(name: str) -> list[str]:
    """The tests that the contract table of a manual names, one a row."""
    rows = (ROOT / name).read_text(encoding="utf-8").split(HEAD[name])[1].split("\n\n")[0].splitlines()[2:]
    found = [ROW.match(row) for row in rows]
    assert all(found), [row for row, match in zip(rows, found, strict=True) if not match]
    return [match[1] for match in found if match]


def test_each_row_of_the_contract_table_names_a_test_that_is_there() -> None:
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "compat/clients").rglob("test_*.py")]
    there = {test for file in files for test in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))}
    named = table("README.md")
    assert len(named) > 25
    assert not set(named) - there


def test_the_contract_table_is_the_same_in_both_languages() -> None:
    assert table("README.ja.md") == table("README.md")
