"""A chat that is too long loses its oldest turns, and says so; over HTTP, with the real engine."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import Program, serve

SYSTEM = {"role": "system", "content": "Be brief."}
SHORT = {"num_predict": 2, "temperature": 0}
ROOM = {**SHORT, "num_ctx": 256}


def exchanges(count: int) -> list[dict[str, str]]:
    """Questions with their answers, the last without."""
    said = [(f"What is {at} plus {at}?", f"It is {2 * at}, which is an even number.") for at in range(count)]
    turns = [{"role": r, "content": c} for pair in said for r, c in zip(("user", "assistant"), pair, strict=True)]
    return [SYSTEM, *turns][:-1]


@pytest.fixture
def client(server: Program) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def post(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/api/chat", json={"model": "starter", "stream": False, "options": ROOM, **more})


def header(reply: httpx.Response) -> dict[str, int]:
    pairs = (part.split("=") for part in reply.headers["x-hoshikage-context"].split("; "))
    return {name: int(count) for name, count in pairs}


def text_of(client: httpx.Client, turns: list[dict[str, str]]) -> str:
    found = post(client, messages=turns, _debug_render_only=True).json()
    return str(found["_debug_info"]["rendered_template"])


def count(client: httpx.Client, text: str) -> int:
    """By the engine that is asked to continue the text as it is."""
    body = {"model": "starter", "prompt": text, "raw": True, "stream": False, "options": SHORT}
    return int(client.post("/api/generate", json=body).json()["prompt_eval_count"])


def test_a_long_chat_loses_whole_exchanges_and_says_how_many(client: httpx.Client) -> None:
    turns = exchanges(20)
    reply = post(client, messages=turns)
    told = reply.json()["hoshikage"]["context"]
    assert told["turns_total"] == len(turns)
    assert 0 < told["turns_left_out"] <= len(turns) - 8
    assert told["turns_left_out"] % 2 == 0
    assert told["tokens_sent"] == reply.json()["prompt_eval_count"] <= 256 * 3 // 4
    names = {"tokens": "tokens_in", "limit": "limit", "turns": "turns_total", "left_out": "turns_left_out"}
    assert header(reply) == {ours: told[name] for ours, name in names.items()}


def test_what_stays_is_the_system_text_and_the_end_of_the_chat(client: httpx.Client) -> None:
    turns = exchanges(20)
    out = post(client, messages=turns).json()["hoshikage"]["context"]["turns_left_out"]
    text = text_of(client, turns)
    assert text == text_of(client, [SYSTEM, *turns[1 + out :]])
    assert "Be brief." in text
    assert "What is 16 plus 16?" in text
    assert "What is 0 plus 0?" not in text


def test_the_numbers_are_the_engines_own(client: httpx.Client) -> None:
    turns = exchanges(20)
    told = post(client, messages=turns).json()["hoshikage"]["context"]
    assert told["tokens_sent"] == count(client, text_of(client, turns))
    whole = post(client, messages=turns, options=SHORT).json()["hoshikage"]["context"]
    assert told["tokens_in"] == whole["tokens_sent"] == whole["tokens_in"] > 256
    assert (told["limit"], whole["limit"], whole["turns_left_out"]) == (256, 8192, 0)
    assert whole["allocated"] == 8192


def test_the_last_line_of_a_stream_tells_it_too(client: httpx.Client) -> None:
    reply = post(client, messages=exchanges(20), stream=True)
    last = json.loads(reply.text.splitlines()[-1])
    assert last["hoshikage"]["context"]["turns_left_out"] == header(reply)["left_out"] > 0


def test_a_chat_that_fits_has_the_header_and_nothing_is_left_out(client: httpx.Client) -> None:
    reply = post(client, messages=exchanges(2))
    assert header(reply) == {"tokens": reply.json()["prompt_eval_count"], "limit": 256, "turns": 4, "left_out": 0}


def test_with_truncate_false_it_is_refused_with_both_numbers(client: httpx.Client) -> None:
    turns = exchanges(20)
    asked = header(post(client, messages=turns))["tokens"]
    reply = post(client, messages=turns, truncate=False)
    assert reply.status_code == 400
    assert f"{asked} tokens" in reply.json()["error"]
    assert "256 tokens" in reply.json()["error"]
    assert post(client, messages=exchanges(2), truncate=False).status_code == 200


def test_what_must_stay_and_does_not_fit_is_refused_with_both_numbers(client: httpx.Client) -> None:
    long = {"role": "user", "content": "word " * 300}
    reply = post(client, messages=[*exchanges(8), {"role": "assistant", "content": "Yes."}, long])
    assert reply.status_code == 400
    found = re.search(r"without the oldest (\d+) of its 18 turns .* (\d+) tokens.* 256 tokens", reply.json()["error"])
    assert found
    assert int(found[1]) == 10
    assert int(found[2]) > 300


def test_a_prompt_of_generate_is_never_cut(client: httpx.Client) -> None:
    body = {"model": "starter", "prompt": "word " * 300, "truncate": True, "shift": True, "options": ROOM}
    reply = client.post("/api/generate", json=body)
    assert reply.status_code == 400
    assert re.search(r"3\d\d tokens, more than the context length of 256 tokens", reply.json()["error"])


def test_openais_chat_is_cut_and_says_so_in_the_same_words(client: httpx.Client) -> None:
    body = {"model": "starter", "messages": exchanges(20), "max_tokens": 2, "num_ctx": 256}
    reply = client.post("/v1/chat/completions", json=body)
    told = reply.json()["hoshikage"]["context"]
    assert told["turns_left_out"] == header(reply)["left_out"] > 0
    chunks = client.post("/v1/chat/completions", json={**body, "stream": True}).text.split("\n\n")
    assert json.loads(chunks[-3].removeprefix("data: "))["hoshikage"]["context"] == told


def test_openais_truncation_can_be_forbidden(client: httpx.Client) -> None:
    body = {"model": "starter", "messages": exchanges(20), "num_ctx": 256, "truncation": "disabled"}
    error = client.post("/v1/chat/completions", json=body).json()["error"]
    assert (error["code"], error["type"]) == ("context_length_exceeded", "invalid_request_error")
    assert "256 tokens" in error["message"]


def test_between_two_cuts_the_chat_is_continued_from_the_cache(client: httpx.Client) -> None:
    before, cuts = {"turns_left_out": 0, "tokens_sent": 0}, 0
    for turn in range(1, 25):
        found = post(client, messages=exchanges(turn)).json()
        now = found["hoshikage"]["context"]
        if now["turns_left_out"] == before["turns_left_out"]:
            assert found["prompt_eval_cached_count"] >= before["tokens_sent"] - 4
        else:
            cuts += 1
        before = now
    assert before["turns_left_out"] > 20
    assert cuts <= 24 // 2


def test_a_num_ctx_over_the_window_is_capped_and_the_chat_made_to_fit(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "tiny.gguf", window=768)
    with serve(tmp_path / "home", tiny) as program, program.client() as client:
        reply = post(client, messages=exchanges(20), options={**SHORT, "num_ctx": 100_000})
    assert reply.headers["x-hoshikage-warning"] == "num_ctx-capped=768"
    assert (header(reply)["limit"], header(reply)["left_out"] > 0) == (768, True)
