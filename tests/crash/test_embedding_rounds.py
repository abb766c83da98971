"""Workers die while they embed: their caller is told, a stream of another model goes on, the next vectors are right."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import gguf
import pytest

from fixtures.bert_gguf import make_tiny_bert
from fixtures.tiny_gguf import make_tiny
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.engine.wire_pooled import Embed, Embeddings
from hoshikage.errors import EngineCrashed
from hoshikage.models.pool import Pool
from hoshikage.sampling import SamplingOptions
from tests.crash.rounds import Round, Stage, Tally
from tests.crash.scene import descriptors
from tests.crash.test_rounds import PLAN, TRIES
from tests.crash.victim import Missed, children, die, freeze, thaw
from tests.models.test_pool import load, policy

TEXT = Embed(id=0, inputs=("the old bridge",))
MANY = Embed(id=0, inputs=tuple(f"the old bridge {number} was painted red" for number in range(3000)))
TOKENS = 300
STARVING = "word " * 1_000_000


@dataclass
class Desk:
    """A pool with a model for vectors, whose worker dies, and one that talks."""

    pool: Pool
    bert: wire.Load
    tiny: wire.Load

    async def embed(self, command: Embed) -> Embeddings:
        async with self.pool.acquire("bert", self.bert, None) as lease:
            return await lease.engine.embed(command)

    async def engine(self) -> Engine:
        async with self.pool.acquire("bert", self.bert, None) as lease:
            return lease.engine

    async def talk(self, begun: asyncio.Event) -> int:
        """How many tokens a stream has had when it ended well."""
        command = wire.Generate(
            id=0, owner="a", prompt="x", sampling=SamplingOptions(temperature=0.0), max_tokens=TOKENS
        )
        async with (
            self.pool.acquire("tiny", self.tiny, None) as lease,
            aclosing(lease.engine.generate(command)) as events,
        ):
            async for event in events:
                begun.set()
                if isinstance(event, wire.Done):
                    return event.completion_tokens
        raise AssertionError("no end")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    others = children(os.getpid())  # the session's servers
    bert = load(make_tiny_bert(tmp_path / "bert.gguf", gguf.PoolingType.MEAN))
    tiny = wire.Load(
        path=str(make_tiny(tmp_path / "tiny.gguf", window=4096)),
        n_ctx=4096,
        n_batch=128,
        n_threads=1,
        n_gpu_layers=0,
        num_parallel=2,
    )
    made = Desk(Pool(policy()), bert, tiny)
    yield made
    await made.pool.close()
    assert children(os.getpid()) <= others


async def test_a_worker_that_embeds_dies_alone(desk: Desk, tally: Tally) -> None:
    right = (await desk.embed(TEXT)).vectors
    await desk.talk(asyncio.Event())
    before = len(descriptors(os.getpid()))
    for each in (each for each in PLAN if each.stage is Stage.EMBEDDING):
        await repeated(desk, tally, each)
        assert (await desk.embed(TEXT)).vectors == right
        assert len(descriptors(os.getpid())) <= before


async def repeated(desk: Desk, tally: Tally, each: Round) -> None:
    for _ in range(TRIES):
        try:
            await played(desk, each)
        except Missed:
            tally.misses[each.stage] += 1
        else:
            tally.hits[each.stage, each.manner] += 1
            return
    raise AssertionError(f"round {each.number}: the worker was never met")


async def played(desk: Desk, each: Round) -> None:
    """One death after the n-th call of many, while a stream of the other model is under way."""
    engine, begun = await desk.engine(), asyncio.Event()
    calls = (await engine.statistics()).decodes + each.dice.randrange(1, 6)
    vectors = asyncio.ensure_future(desk.embed(MANY))
    while (await engine.statistics()).decodes < calls and not vectors.done():
        await asyncio.sleep(0)
    freeze(engine.pid)
    other = asyncio.ensure_future(desk.talk(begun))
    await begun.wait()
    under_way = not other.done()
    thirsty = asyncio.ensure_future(engine.count([STARVING]))
    await asyncio.sleep(0)
    try:
        await asyncio.to_thread(die, engine.pid, each.manner, contextlib.nullcontext())
    finally:
        thaw(engine.pid)
        told = await asyncio.gather(vectors, thirsty, other, return_exceptions=True)
    if not (under_way and isinstance(told[0], EngineCrashed)):
        raise Missed(f"one of them had ended: {told}")
    assert told[2] == TOKENS
