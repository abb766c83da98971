"""Options and log probabilities over HTTP in both dialects, with the real engine."""

import json
import math
from typing import Any

import httpx
import pytest

from hoshikage.sampling import SamplingOptions
from tests.program import Program

CAPITAL = [{"role": "user", "content": "The capital of France is"}]
RICE = "<|im_start|>user\nRepeat: 🍣🍙🍣🍙<|im_end|>\n<|im_start|>assistant\n🍣🍙🍣"


@pytest.fixture
def client(server: Program) -> Any:
    with server.client() as client:
        yield client


def openai(client: httpx.Client, **more: Any) -> httpx.Response:
    body = {"model": "starter", "messages": CAPITAL, "max_tokens": 8, "temperature": 0, **more}
    return client.post("/v1/chat/completions", json=body)


def ollama(client: httpx.Client, **more: Any) -> list[dict[str, Any]]:
    options = {"num_predict": 8, "temperature": 0, **more.pop("options", {})}
    body = {"model": "starter", "messages": CAPITAL, "logprobs": True, "options": options, **more}
    reply = client.post("/api/chat", json=body)
    return [json.loads(line) for line in reply.text.splitlines()]


def test_openais_tokens_are_the_content(client: httpx.Client) -> None:
    choice = openai(client, logprobs=True, top_logprobs=5).json()["choices"][0]
    entries = choice["logprobs"]["content"]
    assert list(choice["logprobs"]) == ["content", "refusal"]
    assert "".join(each["token"] for each in entries) == choice["message"]["content"]
    for each in entries:
        tops = [top["logprob"] for top in each["top_logprobs"]]
        assert each["logprob"] == pytest.approx(tops[0]), "temperature 0 takes the most probable token"
        assert len(tops) == 5
        assert tops == sorted(tops, reverse=True)
        assert sum(map(math.exp, tops)) <= 1.0
        assert bytes(each["bytes"]).decode() == each["token"]


def test_openais_stream_has_the_entries_of_each_text(client: httpx.Client) -> None:
    blocks = openai(client, logprobs=True, stream=True).text.removesuffix("\n\n").split("\n\n")[:-1]
    choices = [json.loads(block.removeprefix("data: "))["choices"][0] for block in blocks]
    texts = [choice for choice in choices if choice["delta"].get("content")]
    assert len(texts) > 2
    for choice in texts:
        tokens = [each["token"] for each in choice["logprobs"]["content"]]
        assert "".join(tokens) == choice["delta"]["content"]
        assert choice["logprobs"]["content"][0]["top_logprobs"] == []


def test_without_the_field_there_are_none(client: httpx.Client) -> None:
    assert openai(client).json()["choices"][0]["logprobs"] is None
    assert not any("logprobs" in line for line in ollama(client, logprobs=False, top_logprobs=3))


def test_a_stop_string_takes_its_tokens_with_it(client: httpx.Client) -> None:
    text = openai(client).json()["choices"][0]["message"]["content"]
    choice = openai(client, logprobs=True, stop=text[9:12]).json()["choices"][0]
    assert choice["message"]["content"] == text[: text.index(text[9:12])]
    assert "".join(each["token"] for each in choice["logprobs"]["content"]) == choice["message"]["content"]


def test_under_a_constraint_the_probabilities_are_still_the_models(client: httpx.Client) -> None:
    plain = openai(client, logprobs=True, top_logprobs=1).json()["choices"][0]["logprobs"]["content"][0]
    choice = openai(client, logprobs=True, top_logprobs=1, response_format={"type": "json_object"}).json()["choices"][0]
    first, *_ = choice["logprobs"]["content"]
    assert "".join(each["token"] for each in choice["logprobs"]["content"]) == choice["message"]["content"]
    assert first["top_logprobs"][0]["token"] == plain["top_logprobs"][0]["token"]
    assert first["logprob"] < first["top_logprobs"][0]["logprob"]


def test_ollamas_lines_carry_the_entries_of_their_text(client: httpx.Client) -> None:
    *texts, last = ollama(client, top_logprobs=2)
    for line in texts:
        assert list(line) == ["model", "created_at", "message", "done", "logprobs"]
        assert "".join(each["token"] for each in line["logprobs"]) == line["message"]["content"]
        assert {tuple(each) for each in line["logprobs"]} == {("token", "logprob", "bytes", "top_logprobs")}
        assert len(line["logprobs"][0]["top_logprobs"]) == 2
    assert "logprobs" not in last


def test_ollamas_one_object_has_all_entries(client: httpx.Client) -> None:
    whole = ollama(client, stream=False)[0]
    assert "".join(each["token"] for each in whole["logprobs"]) == whole["message"]["content"]
    assert len(whole["logprobs"]) == whole["eval_count"]
    assert "top_logprobs" not in whole["logprobs"][0]
    names = list(whole)
    assert names.index("logprobs") < names.index("total_duration")


def test_parts_of_a_character_are_entries_of_their_own(client: httpx.Client) -> None:
    body = {"model": "starter", "prompt": RICE, "raw": True, "stream": False, "logprobs": True}
    reply = client.post("/api/generate", json={**body, "options": {"num_predict": 24, "temperature": 0}}).json()
    assert len(reply["logprobs"]) == reply["eval_count"]
    assert any(each["token"] == "\ufffd" and each["bytes"] == [0xEF, 0xBF, 0xBD] for each in reply["logprobs"])
    assert list(reply)[-2:] == ["logprobs", "hoshikage"]


def test_a_banned_token_never_comes(client: httpx.Client, server: Program) -> None:
    plain = openai(client, max_tokens=1).json()["choices"][0]["message"]["content"]
    every = {str(token): -100 for token in range(0, 20000)}
    text = openai(client, max_tokens=1, logit_bias={**every, "999999": 5}).json()["choices"][0]["message"]["content"]
    assert plain
    assert text != plain


GIVEN = {
    name: {"mirostat": 2, "dry_sequence_breakers": ["x"], "xtc_probability": 0.5, "dynatemp_range": 0.1}.get(
        name, value
    )
    for name, value in ((each, getattr(SamplingOptions(), each)) for each in SamplingOptions.__struct_fields__)
    if name != "logit_bias"
}


def test_both_dialects_take_every_option(client: httpx.Client) -> None:
    assert openai(client, **GIVEN, max_tokens=2).status_code == 200
    assert ollama(client, options={**GIVEN, "num_predict": 2})[-1]["done"]


@pytest.mark.parametrize("name", GIVEN)
def test_an_option_of_the_wrong_type_is_refused_by_name(client: httpx.Client, name: str) -> None:
    reply = openai(client, **{name: {}})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, name)
    reply = client.post("/api/chat", json={"model": "starter", "messages": CAPITAL, "options": {name: {}}})
    assert reply.status_code == 500
    assert reply.json()["error"].startswith(f'option "{name}" must be of ')


def test_options_without_a_meaning_are_named_in_a_header(client: httpx.Client) -> None:
    options = {"num_predict": 1, "tfs_z": 1.0, "penalize_newline": True, "numa": None, "nonsense": 1}
    reply = client.post("/api/chat", json={"model": "starter", "messages": CAPITAL, "options": options})
    assert reply.status_code == 200
    assert reply.headers["x-hoshikage-warning"] == "option-ignored=tfs_z, option-ignored=penalize_newline"
