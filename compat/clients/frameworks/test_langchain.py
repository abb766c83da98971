"""LangChain's `langchain-ollama` against the real server."""

import ollama
import pytest
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

from compat.clients.stock import running, until_idle
from tests.program import Program

STORY = "Tell me a very long story about a river."
SCHEMA = {
    "title": "Taste",
    "type": "object",
    "properties": {"likes": {"type": "string", "enum": ["tea", "coffee"]}},
    "required": ["likes"],
    "additionalProperties": False,
}


def chat_model(server: Program, tokens: int = 16, **more: object) -> ChatOllama:
    return ChatOllama(base_url=server.url, **{"model": "starter", "num_predict": tokens, "temperature": 0, **more})


def test_a_chat_is_answered_with_its_counts(stock: Program) -> None:
    answer = chat_model(stock).invoke([("system", "Be brief."), ("user", "Say hello.")])
    assert answer.text
    assert answer.response_metadata["done_reason"] in {"stop", "length"}
    assert answer.usage_metadata
    assert 0 < answer.usage_metadata["output_tokens"] <= 16


def test_a_chat_streams(stock: Program) -> None:
    parts = list(chat_model(stock, 24).stream(STORY))
    assert sum(bool(part.text) for part in parts) > 3
    assert parts[-1].chunk_position == "last"


async def test_asked_asynchronously_it_says_the_same(stock: Program) -> None:
    model = chat_model(stock, seed=1)
    parts = [part.text async for part in model.astream("Say hello.")]
    assert "".join(parts) == model.invoke("Say hello.").text


def test_a_stream_that_is_left_stops_the_generation(stock: Program) -> None:
    parts = chat_model(stock, 4000).stream(STORY)
    next(parts)
    assert running(stock)
    parts.close()
    until_idle(stock)


def test_generate_streams_too(stock: Program) -> None:
    model = OllamaLLM(model="starter", base_url=stock.url, num_predict=16, temperature=0)
    assert "".join(model.stream("One, two,")) == model.invoke("One, two,")


def test_structured_output_keeps_to_its_schema(stock: Program) -> None:
    asked = chat_model(stock, 32).with_structured_output(SCHEMA, method="json_schema")
    assert asked.invoke("Tea or coffee?") in ({"likes": "tea"}, {"likes": "coffee"})


def test_texts_are_embedded(stock: Program) -> None:
    embeddings = OllamaEmbeddings(model="minilm", base_url=stock.url)
    vectors = embeddings.embed_documents(["The cat sleeps.", "Taxes are due."])
    question = embeddings.embed_query("A sleeping kitten")
    near, far = (sum(map(float.__mul__, question, vector)) for vector in vectors)
    assert len(question) == 384
    assert near > far


def test_keep_alive_zero_unloads(stock: Program) -> None:
    chat_model(stock, 2, keep_alive=0).invoke("Say hello.")
    stock.until_gone()
    assert chat_model(stock, 2, keep_alive="5m").invoke("Say hello.").text
    assert "starter:latest" in stock.listed()


def test_an_unknown_model_is_told_before_and_when_it_is_asked(stock: Program) -> None:
    with pytest.raises(ValueError, match="starter:latest"):
        chat_model(stock, model="nope", validate_model_on_init=True)
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as caught:
        chat_model(stock, model="nope").invoke("hi")
    assert caught.value.status_code == 404
