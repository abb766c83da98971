"""Ollama's own Python client against the real server."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import ollama
import pytest

from tests.program import Program

JAPANESE = [{"role": "user", "content": "日本の首都はどこですか。日本語で答えてください。"}]
STORY = [{"role": "user", "content": "Tell me a very long story about a river."}]


@pytest.fixture
def client(server: Program) -> Iterator[ollama.Client]:
    with ollama.Client(server.url) as client:
        yield client


def test_a_chat_is_answered(client: ollama.Client) -> None:
    answer = client.chat("starter", [{"role": "user", "content": "Say hello."}], options={"num_predict": 16})
    assert answer.message.content
    assert answer.done_reason in {"stop", "length"}
    assert answer.eval_count


def test_a_chat_streams(client: ollama.Client) -> None:
    parts = list(client.chat("starter", STORY, stream=True, options={"num_predict": 32}))
    assert len(parts) > 3
    assert parts[-1].done
    assert "".join(part.message.content or "" for part in parts)


def test_generate_goes_on_from_its_context(client: ollama.Client) -> None:
    first = client.generate("starter", "One, two,", options={"num_predict": 8})
    second = client.generate("starter", "And then?", context=first.context, options={"num_predict": 8})
    assert first.context
    assert second.prompt_eval_count
    assert second.prompt_eval_count > len(first.context)


def test_models_are_listed_shown_and_running(client: ollama.Client) -> None:
    client.generate("starter", keep_alive="5m")
    assert [model.model for model in client.list().models] == ["starter:latest"]
    assert [model.model for model in client.ps().models] == ["starter:latest"]
    shown = client.show("starter")
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo
    assert shown.modelinfo["llama.context_length"] == 8192


def test_japanese_comes_in_whole_characters(client: ollama.Client) -> None:
    for seed in range(3):
        options = {"num_predict": 48, "seed": seed, "temperature": 1.0}
        parts = [part.message.content or "" for part in client.chat("starter", JAPANESE, stream=True, options=options)]
        assert not [part for part in parts if "\ufffd" in part]


def test_leaving_a_stream_cancels_the_generation(client: ollama.Client, server: Program) -> None:
    stream = client.chat("starter", STORY, stream=True, options={"num_predict": 4000, "temperature": 0, "stop": []})
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    until = time.monotonic() + 10
    while httpx.get(f"{server.url}/v1/status").json()["models"][0]["running"]:
        assert time.monotonic() < until, "it goes on generating"


def test_an_unknown_model_is_a_response_error(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as caught:
        client.chat("nope", STORY)
    assert caught.value.status_code == 404


def test_eight_async_chats_at_once_are_all_answered(server: Program) -> None:
    async def all_of_them() -> list[ollama.ChatResponse]:
        asked = [[{"role": "user", "content": f"Say the number {number}."}] for number in range(8)]
        async with ollama.AsyncClient(server.url) as client:
            answers: list[ollama.ChatResponse] = await asyncio.gather(
                *(client.chat("starter", each, options={"num_predict": 16}) for each in asked)
            )
            return answers

    assert all(answer.message.content for answer in asyncio.run(all_of_them()))


def test_a_model_is_unloaded_on_request(client: ollama.Client, server: Program) -> None:
    client.generate("starter", keep_alive=0)
    server.until_gone()
    assert client.ps().models == []
