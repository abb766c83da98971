"""Ollama's own JavaScript client, run by node, against the real server."""

import json

import pytest

from compat.clients.js.conftest import Ask
from compat.clients.stock import until_idle
from tests.program import Program


def test_a_chat_is_answered_with_its_counts(ask: Ask) -> None:
    answer = ask("chat")
    assert answer["message"]["role"] == "assistant"
    assert answer["message"]["content"]
    assert 0 < answer["eval_count"] <= 16


def test_a_chat_streams(ask: Ask) -> None:
    parts = ask("chatStream")
    assert sum(bool(part["message"]["content"]) for part in parts) > 3
    assert [part["done"] for part in parts][-2:] == [False, True]


def test_generate_says_the_same_streamed(ask: Ask) -> None:
    parts = ask("generateStream")
    assert "".join(part["response"] for part in parts) == ask("generate")["response"]


def test_an_answer_keeps_to_its_schema(ask: Ask) -> None:
    assert json.loads(ask("schema")["message"]["content"])["likes"] in {"tea", "coffee"}


def test_texts_are_embedded(ask: Ask) -> None:
    answer = ask("embed")
    assert [len(vector) for vector in answer["embeddings"]] == [384, 384]
    assert answer["prompt_eval_count"]


def test_models_are_listed_shown_and_running(ask: Ask) -> None:
    found = ask("models")
    assert found["loaded"]["done_reason"] == "load"
    assert {"starter:latest", "minilm:latest"} <= {model["name"] for model in found["list"]["models"]}
    assert "starter:latest" in {model["name"] for model in found["ps"]["models"]}
    assert found["show"]["model_info"]["llama.context_length"] == 8192
    assert found["version"]["version"].count(".") == 2


def test_a_model_is_made_copied_and_deleted(ask: Ask) -> None:
    found = ask("make")
    assert found["made"][-1] == {"status": "success"}
    assert {"brief:latest", "me/short:latest"} <= {model["name"] for model in found["listed"]["models"]}
    assert [found["copied"], *found["deleted"]] == [{"status": "success"}] * 3


def test_aborting_a_stream_stops_the_generation(ask: Ask, stock: Program) -> None:
    assert ask("abort")["name"] == "AbortError"
    until_idle(stock)


def test_a_model_is_unloaded_on_request(ask: Ask, stock: Program) -> None:
    assert ask("unload")["done_reason"] == "unload"
    stock.until_gone()


@pytest.mark.parametrize("case", ["unknown", "unknownStream"])
def test_an_unknown_model_is_a_response_error(ask: Ask, case: str) -> None:
    expected = {"name": "ResponseError", "status": 404, "message": "model 'nope' not found"}
    assert ask(case) == expected


def test_a_pull_that_cannot_be_is_an_error(ask: Ask) -> None:
    assert "pypi:no-such-package" in ask("pullNothing")["message"]
