"""OpenAI's own Python client against the real server."""

import time
from collections.abc import Iterator

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.program import Program

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]
STORY: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a very long story about a river."}]
JAPANESE: list[ChatCompletionMessageParam] = [{"role": "user", "content": "自己紹介を日本語でしてください。"}]


@pytest.fixture
def client(server: Program) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_a_chat_is_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="starter", messages=HELLO, max_tokens=16)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_chat_streams_and_ends_with_its_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="starter",
        messages=STORY,
        stream=True,
        max_completion_tokens=32,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens <= 32


def test_the_stream_helper_puts_it_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="starter", messages=HELLO, max_tokens=24) as stream:
        texts = [event.delta for event in stream if event.type == "content.delta"]
    assert "".join(texts)


def test_models_are_listed_and_shown(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["starter"]
    assert client.models.retrieve("starter").owned_by == "library"


def test_japanese_comes_in_whole_characters(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="starter", messages=JAPANESE, stream=True, max_tokens=48, seed=3)
    assert not [chunk for chunk in stream if "\ufffd" in (chunk.choices[0].delta.content or "")]


def test_leaving_a_stream_cancels_the_generation(client: openai.OpenAI, server: Program) -> None:
    stream = client.chat.completions.create(model="starter", messages=STORY, stream=True, temperature=0)
    next(iter(stream))
    stream.close()
    until = time.monotonic() + 10
    while httpx.get(f"{server.url}/v1/status").json()["models"][0]["running"]:
        assert time.monotonic() < until, "it goes on generating"


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'nope' not found"):
        client.chat.completions.create(model="nope", messages=HELLO)


def test_a_bad_value_is_a_bad_request_that_names_it(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model="starter", messages=HELLO, temperature=-1)
