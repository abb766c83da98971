"""Rows of the README's contract table that no other test shows; the table itself, whose tests must be there."""

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
