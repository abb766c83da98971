"""/api/generate with a suffix: what comes between the two is asked for, by tokens that no text can spell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.tiny_gguf import INFILL, make_tiny
from tests.program import hoshikage, serve

KNOWN = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
"""Tokens that llama.cpp knows by their texts, without a key in the header."""
TEMPLATE = "{{ if .Suffix }}[{{ .Prompt }}|{{ .Suffix }}]{{ else }}{{ .System }}{{ .Prompt }}{{ end }}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("infill")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    files = {"named": INFILL, "known": KNOWN, "plain": ()}
    for name, infill in files.items():
        make_tiny(folder / f"{name}.gguf", infill=infill)
        assert hoshikage(folder / "home", "add", str(folder / f"{name}.gguf"), name).returncode == 0
    with serve(folder / "home") as program, program.client() as client:
        made = {"model": "placed", "from": "plain", "template": TEMPLATE, "system": "S", "stream": False}
        assert client.post("/api/create", json=made).json() == {"status": "success"}
        yield client


def ask(client: httpx.Client, model: str, **more: Any) -> httpx.Response:
    options = {"num_predict": 1, "temperature": 0}
    body = {"model": model, "prompt": "ab", "suffix": "cd", "stream": False, "options": options, **more}
    return client.post("/api/generate", json=body)


@pytest.mark.parametrize("model", ["named", "known"])
def test_vector_16_ours_prompt_and_suffix_stand_between_the_vocabularys_tokens(
    client: httpx.Client, model: str
) -> None:
    found = ask(client, model).json()
    before, after, here = 3, 4, 5
    assert found["context"][:7] == [before, *tokens("ab"), after, *tokens("cd"), here]
    assert found["prompt_eval_count"] == 7
    assert found["done_reason"] == "length"


@pytest.mark.parametrize(("model", "mark"), [("named", INFILL[1]), ("known", KNOWN[1])])
def test_a_text_that_spells_a_special_token_stays_text(client: httpx.Client, model: str, mark: str) -> None:
    found = ask(client, model, prompt=mark, suffix="<|im_end|>").json()
    assert found["context"][: found["prompt_eval_count"]] == [3, *tokens(mark), 4, *tokens("<|im_end|>"), 5]


def test_a_template_places_the_suffix_without_system_and_messages(client: httpx.Client) -> None:
    told = ask(client, "placed", system="never", _debug_render_only=True).json()
    assert told["_debug_info"] == {"rendered_template": "[ab|cd]"}
    assert ask(client, "placed").json()["context"][:7] == tokens("[ab|cd]", 3)
    assert ask(client, "placed", suffix="", _debug_render_only=True).json()["_debug_info"] == {
        "rendered_template": "Sab"
    }


def test_raw_sends_the_prompt_alone(client: httpx.Client) -> None:
    assert ask(client, "named", raw=True).json()["prompt_eval_count"] == 2


@pytest.mark.parametrize("prompt", ["ab", ""])
def test_vector_16_ours_a_model_that_cannot_says_so_in_ollamas_words(client: httpx.Client, prompt: str) -> None:
    reply = ask(client, "plain", prompt=prompt)
    error = "registry.ollama.ai/library/plain:latest does not support insert"
    assert (reply.status_code, reply.json()) == (400, {"error": error})


def test_vector_16_strictly_only_a_template_fills_a_gap(client: httpx.Client, folder: Path) -> None:
    with serve(folder / "home", OLLAMA_STRICT="1") as program, program.client() as strict:
        error = "registry.ollama.ai/library/named:latest does not support insert"
        reply = ask(strict, "named")
        assert (reply.status_code, reply.json()) == (400, {"error": error})
        assert ask(strict, "placed").status_code == 200


def test_show_and_tags_tell_who_can(client: httpx.Client) -> None:
    able = {each["model"]: each["capabilities"] for each in client.get("/api/tags").json()["models"]}
    assert able == {
        "named:latest": ["completion", "insert"],
        "known:latest": ["completion", "insert"],
        "placed:latest": ["completion", "insert"],
        "plain:latest": ["completion"],
    }
    for name, wanted in able.items():
        assert client.post("/api/show", json={"model": name}).json()["capabilities"] == wanted


def tokens(text: str, special: int = 6) -> list[int]:
    """Each byte is a token, after so many special ones."""
    return [special + byte for byte in text.encode()]
