"""The pool with real engines: keep-alive, sharing, crashes, failed loads."""

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from msgspec.structs import replace

from fixtures.tiny_gguf import make_tiny
from fixtures.tiny_lora import make_lora
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.errors import EngineCrashed, LoadFailed, NotEnoughMemory
from hoshikage.models.eviction import Bytes, State
from hoshikage.models.footprint import Footprint
from hoshikage.models.pool import Lease, Policy, Pool
from hoshikage.sampling import SamplingOptions


def load(path: Path) -> wire.Load:
    return wire.Load(path=str(path), n_ctx=512, n_batch=128, n_threads=0, n_gpu_layers=0, num_parallel=2)


def policy(*, keep_alive: float = 60, max_loaded: int = 2) -> Policy:
    return Policy(keep_alive_seconds=keep_alive, max_loaded=max_loaded, load_timeout_seconds=60)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    made = Pool(policy())
    yield made
    await made.close()


async def generate(lease: Lease, new: int = 4) -> int:
    command = wire.Generate(id=0, owner="a", prompt="One two", sampling=SamplingOptions(), max_tokens=new)
    async with aclosing(lease.engine.generate(command)) as events:
        return len([event async for event in events])


async def until_empty(pool: Pool) -> None:
    async with asyncio.timeout(20):
        while pool.loaded():
            await asyncio.sleep(0.01)


async def test_a_hundred_at_once_load_it_once(pool: Pool, starter: Path) -> None:
    async def one() -> int:
        async with pool.acquire("starter", load(starter), None) as lease:
            return lease.engine.pid

    assert len(set(await asyncio.gather(*(one() for _ in range(100))))) == 1


async def test_an_idle_model_is_unloaded_and_its_process_ends(starter: Path) -> None:
    pool = Pool(policy(keep_alive=0.05))
    async with pool.acquire("starter", load(starter), None) as lease:
        engine = lease.engine
    await until_empty(pool)
    await pool.close()
    assert engine.lost.is_set()
    with pytest.raises(ProcessLookupError):
        os.kill(engine.pid, 0)


async def test_keep_alive_zero_unloads_after_the_request(pool: Pool, starter: Path) -> None:
    async with pool.acquire("starter", load(starter), 0.0) as lease:
        await generate(lease)
    assert pool.loaded() == []


async def test_a_request_keeps_the_last_keep_alive(pool: Pool, starter: Path) -> None:
    async with pool.acquire("starter", load(starter), math.inf):
        pass
    async with pool.acquire("starter", load(starter), None):
        pass
    assert math.isinf(pool.loaded()[0].expires_at)


async def test_a_crash_is_told_and_the_next_request_gets_a_new_worker(pool: Pool, starter: Path) -> None:
    with pytest.raises(EngineCrashed):
        async with pool.acquire("starter", load(starter), None) as lease:
            first = lease.engine.pid
            os.kill(first, signal.SIGKILL)
            await generate(lease, new=200)
    async with pool.acquire("starter", load(starter), None) as lease:
        assert lease.engine.pid != first
        assert await generate(lease) > 1


async def test_a_failed_load_is_told_to_everyone_who_waits_and_can_be_tried_again(pool: Pool, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + os.urandom(2000))

    async def one() -> None:
        async with pool.acquire("broken", load(broken), None):
            pass

    for _ in range(2):
        results = await asyncio.gather(*(one() for _ in range(3)), return_exceptions=True)
        assert all(isinstance(result, LoadFailed) for result in results)
    assert pool.loaded() == []


async def test_a_model_with_an_adapter_has_a_worker_of_its_own(pool: Pool, tmp_path: Path) -> None:
    plain = load(make_tiny(tmp_path / "tiny.gguf"))
    changed = replace(plain, adapters=(str(make_lora(tmp_path / "lora.gguf")),))
    async with pool.acquire("plain", plain, None) as one, pool.acquire("changed", changed, None) as other:
        assert one.engine.pid != other.engine.pid
    await pool.unload(Path(changed.path), changed.adapters)
    assert [loaded.name for loaded in pool.loaded()] == ["plain"]
    await pool.unload(Path(plain.path))
    assert pool.loaded() == []


async def test_the_idle_model_goes_when_another_needs_its_place(starter: Path, tmp_path: Path) -> None:
    pool = Pool(policy(max_loaded=1))
    other = tmp_path / "other.gguf"
    other.symlink_to(starter)
    async with pool.acquire("starter", load(starter), None):
        pass
    async with pool.acquire("other", load(other), None):
        assert [loaded.name for loaded in pool.loaded()] == ["other"]
    await pool.close()


async def test_a_busy_model_is_waited_for_not_killed(starter: Path, tmp_path: Path) -> None:
    pool = Pool(policy(max_loaded=1))
    other = tmp_path / "other.gguf"
    other.symlink_to(starter)
    order: list[str] = []

    async def second() -> None:
        async with pool.acquire("other", load(other), None):
            order.append("other")

    async with pool.acquire("starter", load(starter), None) as lease:
        waiting = asyncio.ensure_future(second())
        await generate(lease, new=64)
        order.append("starter")
    await waiting
    await pool.close()
    assert order == ["starter", "other"]


async def test_a_waiter_that_leaves_does_not_spoil_the_load_for_the_others(pool: Pool, starter: Path) -> None:
    async def one() -> int:
        async with pool.acquire("starter", load(starter), None) as lease:
            return await generate(lease)

    first, second = asyncio.ensure_future(one()), asyncio.ensure_future(one())
    await asyncio.sleep(0)
    first.cancel()
    assert await second > 1


def of_memory(free: int, **sizes: int) -> Pool:
    """A pool that believes to have so many bytes, and that a model of that name takes so many."""

    def measure(asked: wire.Load) -> Footprint:
        return Footprint(private=sizes[Path(asked.path).stem])

    return Pool(policy(max_loaded=9), free=lambda: Bytes(free), measure=measure)


@pytest.fixture
def models(tmp_path: Path) -> dict[str, wire.Load]:
    return {name: load(make_tiny(tmp_path / f"{name}.gguf", seed=seed)) for seed, name in enumerate("abc")}


async def test_what_does_not_fit_is_refused_with_both_numbers_and_starts_nothing(models: dict[str, wire.Load]) -> None:
    pool = of_memory(4 << 30, a=5 << 30)
    with pytest.raises(NotEnoughMemory) as caught:
        async with pool.acquire("a", models["a"], None):
            pass
    assert str(caught.value) == (
        "model requires more system memory (5.0 GiB) than is available (4.0 GiB):"
        " 5368709120 bytes are needed, 4294967296 are free"
    )
    assert pool.held() == []


async def test_where_only_one_fits_they_take_turns(models: dict[str, wire.Load]) -> None:
    def free() -> Bytes:
        return Bytes(10 - 10 * sum(each.state is not State.LOADING for each in alone.held()))

    alone = Pool(policy(max_loaded=9), free=free, measure=lambda _: Footprint(private=10))
    for name in ("a", "b", "a"):
        async with alone.acquire(name, models[name], None) as lease:
            assert await generate(lease) > 1
            assert [each.name for each in alone.held()] == [name]
    await alone.close()


async def test_a_load_ends_with_the_last_who_waits_for_it(starter: Path) -> None:
    pool = Pool(policy())

    async def one() -> None:
        async with pool.acquire("starter", load(starter), None):
            pass

    waiting = [asyncio.ensure_future(one()) for _ in range(3)]
    while not pool.held():
        await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert [each.state for each in pool.held()] == [State.STOPPING]
    while pool.held():
        await asyncio.sleep(0.01)
    await one()
    await pool.close()


async def test_the_progress_of_a_load_is_seen_and_never_goes_back(gemma: Path) -> None:
    said: list[float] = []
    engine = await Engine.start(load(gemma), on_progress=said.append)
    await engine.close()
    assert (said[0] < 0.5, said[-1], said) == (True, 1.0, sorted(said))
    assert 2 < len(said) <= 102


async def test_an_idle_worker_that_dies_is_no_longer_listed(starter: Path) -> None:
    pool = Pool(policy())
    async with pool.acquire("starter", load(starter), None) as lease:
        os.kill(lease.engine.pid, signal.SIGKILL)
    while pool.held():
        await asyncio.sleep(0.01)
    await pool.close()


async def test_for_a_model_that_may_not_be_loaded_now_no_other_goes(models: dict[str, wire.Load]) -> None:
    def gate(asked: wire.Load) -> None:
        if asked == models["b"]:
            raise LoadFailed(reason="not now")

    alone = Pool(policy(max_loaded=1), gate=gate)
    async with alone.acquire("a", models["a"], None):
        pass
    with pytest.raises(LoadFailed, match="not now"):
        async with alone.acquire("b", models["b"], None):
            pass
    assert [each.name for each in alone.loaded()] == ["a"]
    await alone.close()
