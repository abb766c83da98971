"""LiteLLM's providers `ollama_chat` and `ollama` against the real server."""

import litellm
import pytest

from compat.clients.stock import running, until_idle
from tests.program import Program

HELLO = [{"role": "user", "content": "Say hello."}]
STORY = [{"role": "user", "content": "Tell me a very long story about a river."}]
PROVIDERS = pytest.mark.parametrize("provider", ["ollama_chat", "ollama"])
LIKES = {
    "type": "object",
    "properties": {"likes": {"enum": ["tea", "coffee"]}},
    "required": ["likes"],
    "additionalProperties": False,
}


def asked(server: Program, provider: str, tokens: int = 16, **more: object) -> dict[str, object]:
    bounds = {"max_tokens": tokens, "temperature": 0, "timeout": 60}
    return {"model": f"{provider}/starter", "api_base": server.url, "messages": HELLO, **bounds, **more}


@PROVIDERS
def test_a_chat_is_answered_with_its_counts(stock: Program, provider: str) -> None:
    answer = litellm.completion(**asked(stock, provider))
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert 0 < answer.usage.completion_tokens <= 16
    assert answer.usage.prompt_tokens


@PROVIDERS
def test_a_chat_streams(stock: Program, provider: str) -> None:
    parts = list(litellm.completion(**asked(stock, provider, 24, messages=STORY, stream=True)))
    assert sum(bool(part.choices[0].delta.content) for part in parts) > 3
    assert parts[-1].choices[0].finish_reason in {"stop", "length"}


@PROVIDERS
async def test_asked_asynchronously_it_says_the_same(stock: Program, provider: str) -> None:
    parts = [part async for part in await litellm.acompletion(**asked(stock, provider, seed=1, stream=True))]
    whole = litellm.completion(**asked(stock, provider, seed=1)).choices[0].message.content
    assert "".join(part.choices[0].delta.content or "" for part in parts).strip() == whole.strip()


@PROVIDERS
def test_a_stream_that_is_left_stops_the_generation(stock: Program, provider: str) -> None:
    parts = litellm.completion(**asked(stock, provider, 4000, messages=STORY, stream=True))
    next(parts)
    assert running(stock)
    parts.completion_stream.response_iterator.close()
    until_idle(stock)


def test_a_schema_is_kept(stock: Program) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "taste", "schema": LIKES}}
    answer = litellm.completion(**asked(stock, "ollama_chat", 32, response_format=form))
    assert '"likes"' in answer.choices[0].message.content


def test_texts_are_embedded(stock: Program) -> None:
    answer = litellm.embedding(model="ollama/minilm", api_base=stock.url, input=["The cat sleeps.", "Taxes are due."])
    assert [len(each["embedding"]) for each in answer.data] == [384, 384]


def test_models_are_listed(stock: Program) -> None:
    models = litellm.get_valid_models(check_provider_endpoint=True, custom_llm_provider="ollama", api_base=stock.url)
    assert {"ollama/starter:latest", "ollama/minilm:latest"} <= set(models)


def test_keep_alive_zero_unloads(stock: Program) -> None:
    litellm.completion(**asked(stock, "ollama_chat", 2, keep_alive=0))
    stock.until_gone()


@PROVIDERS
def test_an_unknown_model_is_told(stock: Program, provider: str) -> None:
    with pytest.raises(litellm.NotFoundError, match="model 'nope' not found"):
        litellm.completion(**asked(stock, provider, model=f"{provider}/nope"))
