"""Ollama's own asynchronous Python client against the real server."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import ollama
import pytest

from tests.program import Program

STORY = [{"role": "user", "content": "Tell me a very long story about a river."}]


@pytest.fixture
async def client(server: Program) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(server.url) as client:
        yield client


async def test_a_chat_streams_and_ends_with_its_counts(client: ollama.AsyncClient) -> None:
    parts = [part async for part in await client.chat("starter", STORY, stream=True, options={"num_predict": 24})]
    assert len(parts) > 3
    assert "".join(part.message.content or "" for part in parts)
    assert parts[-1].done
    assert parts[-1].eval_count
    assert parts[-1].eval_count <= 24


async def test_a_generation_keeps_to_its_schema(client: ollama.AsyncClient) -> None:
    likes = {"properties": {"likes": {"enum": ["tea", "coffee"]}}, "required": ["likes"]}
    schema = {"type": "object", **likes, "additionalProperties": False}
    options = {"num_predict": 100, "temperature": 0}
    answer = await client.generate("starter", "Tea or coffee?", format=schema, options=options)
    assert json.loads(answer.response or "")["likes"] in {"tea", "coffee"}


async def test_models_are_listed_shown_and_running(client: ollama.AsyncClient) -> None:
    await client.generate("starter", keep_alive="5m")
    listed, running, shown = await asyncio.gather(client.list(), client.ps(), client.show("starter"))
    assert [model.model for model in listed.models] == ["starter:latest"]
    assert [model.model for model in running.models] == ["starter:latest"]
    assert shown.capabilities == ["completion"]


async def test_cancelling_a_task_cancels_its_generation(client: ollama.AsyncClient, server: Program) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in await client.chat("starter", STORY, stream=True, options={"num_predict": 4000}):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10), httpx.AsyncClient(base_url=server.url) as status:
        while (await status.get("/v1/status")).json()["models"][0]["running"]:  # noqa: ASYNC110  only to be asked for
            await asyncio.sleep(0.05)


async def test_what_is_not_there_is_a_response_error(client: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as unknown:
        await client.generate("nope", "hi")
    with pytest.raises(ollama.ResponseError, match="pypi:no-such-package"):
        async for _ in await client.pull("pypi:no-such-package/x.gguf", stream=True):
            pass
    assert unknown.value.status_code == 404
