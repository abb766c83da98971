"""Embeddings and rerank scores of the worker: real MiniLM weights, a made cross-encoder, and the starter model."""

import asyncio
import base64
import json
from array import array
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.bert_gguf import TINY, make_tiny_bert, tiny_tensors
from hoshikage.engine.client import Engine
from hoshikage.engine.embedder import Embedder
from hoshikage.engine.llama import library
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.model import Model
from hoshikage.engine.llama.placement import Placement
from hoshikage.engine.wire_pooled import Embed, Embeddings, Rerank
from hoshikage.errors import InputTooLong, RequestError, Unsupported
from tests.engine.bert_numpy import score
from tests.engine.test_engine import ENDLESS, ask, load, said

REFERENCE = json.loads(Path("fixtures/minilm_reference.json").read_text(encoding="utf-8"))["texts"]
TEXTS = {name: str(entry["text"]) for name, entry in REFERENCE.items()}
DOCUMENTS = ("abc", "hello there", "zz top of the world again and again", "", "x" * 100)
Vector = NDArray[np.float32]


def reference(name: str) -> Vector:
    return np.frombuffer(base64.b64decode(REFERENCE[name]["vector"]), "<f4")


def vectors(answer: Embeddings) -> list[Vector]:
    return [np.frombuffer(each, "<f4") for each in answer.vectors]


@pytest.fixture
async def embedder(minilm: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(load(minilm))
    yield started
    await started.close()


@pytest.fixture
async def generator(starter: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(load(starter))
    yield started
    await started.close()


@pytest.fixture
async def reranker(tmp_path: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(load(make_tiny_bert(tmp_path / "rank.gguf", gguf.PoolingType.RANK)))
    yield started
    await started.close()


@pytest.mark.parametrize("name", TEXTS)
async def test_a_vector_is_that_of_sentence_transformers(embedder: Engine, name: str) -> None:
    answer = await embedder.embed(Embed(id=0, inputs=(TEXTS[name],)))
    [vector] = vectors(answer)
    assert answer.tokens == (len(REFERENCE[name]["tokens"]),)
    assert float(vector @ reference(name)) >= 0.999
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)


async def test_a_batch_gives_each_text_its_own_vector(embedder: Engine) -> None:
    names = list(TEXTS)[:8]
    answer = await embedder.embed(Embed(id=0, inputs=tuple(TEXTS[name] for name in names)))
    assert all(vector @ reference(name) >= 0.999 for vector, name in zip(vectors(answer), names, strict=True))
    assert (await embedder.statistics()).decodes == 1


async def test_tokens_are_those_of_sentence_transformers(embedder: Engine) -> None:
    tokens = await embedder.tokenize(list(TEXTS.values()), add_special=True)
    assert list(tokens) == [tuple(entry["tokens"]) for entry in REFERENCE.values()]


async def test_token_ids_are_taken_as_they_are(embedder: Engine) -> None:
    answer = await embedder.embed(Embed(id=0, inputs=(tuple(REFERENCE["accents"]["tokens"]), "a")))
    assert float(vectors(answer)[0] @ reference("accents")) >= 0.999
    with pytest.raises(RequestError, match="token 30522 is not one of the vocabulary"):
        await embedder.embed(Embed(id=0, inputs=((30522,),)))


async def test_a_long_text_is_cut_and_reported(embedder: Engine) -> None:
    long = "word " * 600
    answer = await embedder.embed(Embed(id=0, inputs=(long, "short"), num_ctx=40))
    assert (answer.tokens, answer.truncated) == ((40, 3), (True, False))
    same = await embedder.embed(Embed(id=0, inputs=((101, *[2773] * 38, 102),)))
    assert float(vectors(answer)[0] @ vectors(same)[0]) >= 0.9999
    with pytest.raises(InputTooLong) as caught:
        await embedder.embed(Embed(id=0, inputs=("short", long), truncate=False))
    assert caught.value.data == {"tokens": 602, "limit": 512}


async def test_fewer_dimensions_are_a_normalised_prefix(embedder: Engine) -> None:
    [vector] = vectors(await embedder.embed(Embed(id=0, inputs=("星影",), dimensions=64)))
    [whole] = vectors(await embedder.embed(Embed(id=0, inputs=("星影",), normalise=False)))
    assert vector == pytest.approx(whole[:64] / np.linalg.norm(whole[:64]), abs=1e-5)
    assert float(np.linalg.norm(whole)) > 1.5


async def test_a_model_for_vectors_does_not_generate(embedder: Engine) -> None:
    with pytest.raises(Unsupported, match=r'^"all-MiniLM-L6-v2.f16" does not support generate$'):
        await said(embedder, ask("x"))
    with pytest.raises(Unsupported, match="does not support rerank"):
        await embedder.rerank(Rerank(id=0, query="a", documents=("b",)))
    assert len(vectors(await embedder.embed(Embed(id=0, inputs=("still here",))))) == 1


async def test_leaving_an_embedding_ends_it(embedder: Engine) -> None:
    many = asyncio.ensure_future(embedder.embed(Embed(id=0, inputs=("word " * 500,) * 5000)))
    while not (await embedder.statistics()).running:
        await asyncio.sleep(0.01)
    many.cancel()
    await asyncio.wait([many])
    async with asyncio.timeout(60):
        while (await embedder.statistics()).running:
            await asyncio.sleep(0.01)
    assert (await embedder.statistics()).decodes < 5000


async def test_rerank_scores_are_those_of_numpy(reranker: Engine) -> None:
    answer = await reranker.rerank(Rerank(id=0, query="who is there", documents=DOCUMENTS))
    query, *documents = await reranker.tokenize(["who is there", *DOCUMENTS])
    pairs = [[*[2, *query, 3, *document][: TINY.window - 1], 3] for document in documents]
    expected = [score(pair, tiny_tensors(head=True), TINY) for pair in pairs]
    assert list(answer.scores) == pytest.approx(expected, abs=1e-3)
    assert max(expected) - min(expected) > 0.05
    assert answer.truncated == (False, False, False, False, True)


async def test_a_cross_encoder_gives_no_vectors(reranker: Engine) -> None:
    with pytest.raises(Unsupported, match="does not support embeddings"):
        await reranker.embed(Embed(id=0, inputs=("a",)))
    with pytest.raises(InputTooLong):
        await reranker.rerank(Rerank(id=0, query="a", documents=DOCUMENTS, truncate=False))


async def test_a_model_that_generates_gives_vectors_too(generator: Engine) -> None:
    texts = ("The cat sleeps on the sofa.", "A kitten is napping on the couch.", "Share prices fell sharply today.")
    cat, kitten, shares = vectors(await generator.embed(Embed(id=0, inputs=texts)))
    assert cat @ kitten > cat @ shares
    assert len(cat) == 576
    assert (await said(generator, ask(ENDLESS)))[1].completion_tokens == 16


async def test_an_input_in_parts_gives_the_vector_of_the_whole(generator: Engine) -> None:
    """Beside a stream a long input is evaluated fewer tokens at a time, for about the same vector."""
    long = Embed(id=0, inputs=("The night is clear and the stars are far away. " * 25,))
    [alone] = vectors(await generator.embed(long))
    async with aclosing(generator.generate(ask(ENDLESS, new=3000))) as stream:
        await anext(stream)
        [beside] = vectors(await generator.embed(long))
    assert float(alone @ beside) > 0.99


async def test_a_stream_goes_on_between_the_calls_of_an_embedding(generator: Engine) -> None:
    """No two calls come between two tokens of the stream, and each input of 130 tokens takes a call at least."""
    inputs = tuple(f"{i} " + "word " * 130 for i in range(6))
    async with aclosing(generator.generate(ask(ENDLESS, new=3000))) as stream:
        await anext(stream)
        before = (await generator.statistics()).tokens_sampled
        await generator.embed(Embed(id=0, inputs=inputs))
        assert (await generator.statistics()).tokens_sampled - before >= len(inputs) - 1


async def test_counting_and_the_counters_wait_for_no_step(generator: Engine) -> None:
    """Both are answered twice within one step; what waits for the end of a step is answered once in it."""
    busy = asyncio.ensure_future(said(generator, ask("word " * 1500, new=1)))
    within = 0
    while not busy.done():
        before = await generator.statistics()
        counts = await generator.count([ENDLESS, "", "星影"])
        after = await generator.statistics()
        within += before.decodes == after.decodes and before.step_ns > 0 < after.step_ns
    assert within
    assert (await generator.statistics()).step_ns == 0
    assert counts == tuple(len(ids) for ids in await generator.tokenize([ENDLESS, "", "星影"]))


async def test_text_comes_back_from_its_tokens(generator: Engine) -> None:
    texts = ["<|im_start|>user\n星影🍣", "", "plain  text\n\n"]
    tokens = await generator.tokenize(texts)
    plain = await generator.tokenize(texts, parse_special=False)
    assert await generator.detokenize(tokens) == tuple(texts)
    assert len(plain[0]) > len(tokens[0])
    assert (await generator.detokenize(tokens, special=False))[0] == "user\n星影🍣"
    with pytest.raises(RequestError, match="vocabulary"):
        await generator.detokenize([[10**6]])


def test_the_second_context_goes_when_it_has_no_work(starter: Path) -> None:
    library.start()
    model = Model(starter, Placement(n_gpu_layers=0))
    hasty, patient = (
        Embedder(model, Computing(1), window=512, budget_ns=10**8, idle_seconds=idle) for idle in (0.0, 600.0)
    )
    assert not patient.rest()
    for embedder in (hasty, patient):
        embedder.take(embedder.prepare(Embed(id=1, inputs=("x",))))
        [answer] = embedder.step(beside_decode=False)
        assert isinstance(answer, Embeddings)
    assert (hasty.rest(), patient.rest()) == (False, True)
    patient.close()
    model.close()


def test_the_reference_is_what_its_header_says() -> None:
    assert all(len(array("f", base64.b64decode(entry["vector"]))) == 384 for entry in REFERENCE.values())
    assert len(REFERENCE["250 tokens"]["tokens"]) == 250
