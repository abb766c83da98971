"""LlamaIndex's `llama-index-llms-ollama` and `llama-index-embeddings-ollama` against the real server."""

import ollama
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama

from compat.clients.stock import running, until_idle
from tests.program import Program

STORY = [ChatMessage(role="user", content="Tell me a very long story about a river.")]
HELLO = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Say hello.")]


def model(server: Program, tokens: int = 16, **more: object) -> Ollama:
    given = {"model": "starter", "temperature": 0, "additional_kwargs": {"num_predict": tokens}, **more}
    return Ollama(base_url=server.url, request_timeout=60, **given)


def test_a_chat_is_answered_with_its_counts(stock: Program) -> None:
    answer = model(stock).chat(HELLO)
    assert answer.message.content
    assert answer.raw["usage"]["completion_tokens"] <= 16
    assert answer.raw["done_reason"] in {"stop", "length"}


def test_the_window_is_read_from_show(stock: Program) -> None:
    assert model(stock).metadata.context_window == 8192


def test_a_chat_streams(stock: Program) -> None:
    parts = list(model(stock, 24).stream_chat(STORY))
    assert sum(bool(part.delta) for part in parts) > 3
    assert parts[-1].message.content == "".join(part.delta or "" for part in parts)


async def test_asked_asynchronously_it_says_the_same(stock: Program) -> None:
    asked = model(stock)
    parts = [part.delta or "" async for part in await asked.astream_chat(HELLO)]
    assert "".join(parts) == asked.chat(HELLO).message.content


def test_a_completion_is_answered(stock: Program) -> None:
    assert model(stock).complete("One, two,").text


def test_json_mode_answers_in_json(stock: Program) -> None:
    answer = model(stock, 64, json_mode=True).complete("Name a colour as JSON.").text
    assert answer.lstrip().startswith(("{", "["))


def test_a_stream_that_is_left_stops_the_generation(stock: Program) -> None:
    parts = model(stock, 4000).stream_chat(STORY)
    next(parts)
    assert running(stock)
    parts.close()
    until_idle(stock)


def test_texts_are_embedded_in_one_request(stock: Program) -> None:
    embedding = OllamaEmbedding(model_name="minilm", base_url=stock.url)
    near, far = embedding.get_text_embedding_batch(["The cat sleeps.", "Taxes are due."])
    question = embedding.get_query_embedding("A sleeping kitten")
    assert len(question) == 384
    assert embedding.similarity(question, near) > embedding.similarity(question, far)


def test_keep_alive_zero_unloads(stock: Program) -> None:
    model(stock, 2, keep_alive=0).chat(HELLO)
    stock.until_gone()


def test_an_unknown_model_is_a_response_error(stock: Program) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope:latest' not found") as caught:
        model(stock, model="nope").chat(HELLO)
    assert caught.value.status_code == 404
