"""The worker process with the starter model: batching, streaming, cancelling, crashing."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from msgspec.structs import replace

from fixtures.tiny_gguf import make_tiny
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.errors import ContextOverflow, EngineCrashed, LoadFailed, RequestError
from hoshikage.sampling import SamplingOptions

ENDLESS = "Count: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,"


def load(path: Path, *, num_parallel: int = 16, n_ctx: int = 4096) -> wire.Load:
    return wire.Load(path=str(path), n_ctx=n_ctx, n_batch=512, n_threads=0, n_gpu_layers=0, num_parallel=num_parallel)


@pytest.fixture
async def engine(starter: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(load(starter))
    yield started
    await started.close()


def ask(prompt: str, *, new: int = 16, owner: str = "a", seed: int = 1, temperature: float = 0.0) -> wire.Generate:
    sampling = SamplingOptions(temperature=temperature, seed=seed)
    return wire.Generate(id=0, owner=owner, prompt=prompt, sampling=sampling, max_tokens=new)


async def said(engine: Engine, command: wire.Generate) -> tuple[str, wire.Done]:
    parts: list[str] = []
    async with aclosing(engine.generate(command)) as events:
        async for event in events:
            if isinstance(event, wire.Text):
                parts.append(event.text)
            if isinstance(event, wire.Done):
                return "".join(parts), event
    raise AssertionError("no end")


async def test_a_greedy_answer_is_the_same_twice_and_cached(engine: Engine) -> None:
    first, cold = await said(engine, ask(ENDLESS))
    second, warm = await said(engine, ask(ENDLESS))
    assert first == second
    assert "15" in first
    assert (cold.cached, warm.cached) == (0, warm.prompt_tokens - 1)


async def test_seeded_runs_are_equal(engine: Engine) -> None:
    await said(engine, ask(ENDLESS))
    runs = {(await said(engine, ask(ENDLESS, seed=7, temperature=1.0)))[0] for _ in range(5)}
    others = {(await said(engine, ask(ENDLESS, seed=s, temperature=1.0)))[0] for s in range(5)}
    assert len(runs) == 1
    assert len(others) > 1


async def test_eight_chats_of_64_tokens_take_at_most_88_decodes(engine: Engine) -> None:
    before = (await engine.statistics()).decodes
    ends = await asyncio.gather(*(said(engine, ask(f"{ENDLESS} {i}", new=64)) for i in range(8)))
    assert [end.completion_tokens for _, end in ends] == [64] * 8
    assert (await engine.statistics()).decodes - before <= 64 + 24


async def test_a_ninth_joins_midway_and_the_others_go_on(engine: Engine) -> None:
    """No stream pauses for more than two steps: between two of its tokens the worker decodes at most twice."""
    tasks = [asyncio.ensure_future(said(engine, ask(f"{ENDLESS} {i}", new=96))) for i in range(8)]
    while (await engine.statistics()).running < 8:
        await asyncio.sleep(0.01)
    before = await engine.statistics()
    ninth = await said(engine, ask("word " * 200, new=8))
    after = await engine.statistics()
    assert not any(task.done() for task in tasks)
    decodes = after.decodes - before.decodes
    others = after.tokens_sampled - before.tokens_sampled - ninth[1].completion_tokens
    assert others >= 8 * (decodes - 2)
    await asyncio.gather(*tasks)


async def test_guesses_keep_to_a_small_batch(tmp_path: Path) -> None:
    path = make_tiny(tmp_path / "tiny.gguf", window=4096)
    small = await Engine.start(replace(load(path), n_batch=8))
    _, end = await said(small, ask("x", new=1500, seed=-1))
    await small.close()
    assert (end.completion_tokens, end.accepted > 100) == (1500, True)


async def test_two_owners_never_share(engine: Engine) -> None:
    await said(engine, ask(ENDLESS, owner="a"))
    _, end = await said(engine, ask(ENDLESS, owner="b"))
    assert end.cached == 0


async def test_text_comes_in_whole_characters(engine: Engine) -> None:
    prompt = "<|im_start|>user\n日本語で絵文字🍣👨‍👩‍👧を使って<|im_end|>\n<|im_start|>assistant\n"
    for seed in range(4):
        text, _ = await said(engine, ask(prompt, new=60, seed=seed, temperature=1.0))
        assert "\ufffd" not in text


async def test_leaving_early_cancels_at_the_next_step(engine: Engine) -> None:
    async with aclosing(engine.generate(ask(ENDLESS, new=3000))) as events:
        async for event in events:
            if isinstance(event, wire.Text):
                break
    async with asyncio.timeout(5):
        while (await engine.statistics()).running:
            await asyncio.sleep(0.01)


async def test_cancelling_in_the_prefill_keeps_what_was_prefilled(engine: Engine) -> None:
    prompt = "word " * 1500
    events = engine.generate(ask(prompt))
    await anext(events)
    await events.aclose()
    while (await engine.statistics()).running:
        await asyncio.sleep(0.01)
    _, end = await said(engine, ask(prompt, new=1))
    assert 0 < end.cached < end.prompt_tokens


async def test_a_prompt_over_the_window_is_refused_with_both_numbers(engine: Engine) -> None:
    with pytest.raises(ContextOverflow) as caught:
        await said(engine, ask("word " * 5000))
    assert caught.value.data == {"tokens": 5001, "limit": 4096}


async def test_a_window_that_is_no_round_number_holds_to_the_token(starter: Path) -> None:
    engine = await Engine.start(load(starter, n_ctx=100))
    _, end = await said(engine, ask(ENDLESS, new=-1))
    await engine.close()
    assert engine.ready.window == 100
    assert end.prompt_tokens + end.completion_tokens == 100


async def test_tokens_outside_the_vocabulary_are_refused(engine: Engine) -> None:
    with pytest.raises(RequestError, match="context: token 999999 is not one of the vocabulary"):
        await said(engine, wire.Generate(id=0, owner="a", prompt="x", sampling=SamplingOptions(), context=(999999,)))


async def test_a_prompt_larger_than_a_frame_ends_no_worker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "FRAME_BYTES_MAX", 10_000)
    with pytest.raises(RequestError, match=r"a frame of 1\d{4} bytes, an engine takes 10000 bytes at once"):
        await said(engine, ask("x" * 10_000))
    _, end = await said(engine, ask("x", new=1))
    assert end.completion_tokens == 1


async def test_more_conversations_than_cells_are_all_answered(starter: Path) -> None:
    small = await Engine.start(load(starter, num_parallel=4, n_ctx=768))
    ends = await asyncio.gather(*(said(small, ask(f"{i} " + "word " * 300, new=4)) for i in range(12)))
    await small.close()
    assert [end.completion_tokens for _, end in ends] == [4] * 12


async def test_a_killed_worker_fails_its_requests_with_a_clear_error(engine: Engine) -> None:
    events = engine.generate(ask(ENDLESS, new=3000))
    await anext(events)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineCrashed, match=r"signal 9\); the next request starts a new one"):
        async for _ in events:
            pass
    with pytest.raises(EngineCrashed):
        await said(engine, ask(ENDLESS))


@pytest.mark.parametrize("size", [0, 100, 1_000_000, 50_000_000])
async def test_a_truncated_model_is_refused_with_llama_cpps_reason(starter: Path, tmp_path: Path, size: int) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(starter.read_bytes()[:size])
    with pytest.raises(LoadFailed):
        await Engine.start(load(broken))


async def test_a_load_that_takes_too_long_ends_its_worker(starter: Path) -> None:
    with pytest.raises(LoadFailed, match="not loaded within"):
        await Engine.start(load(starter), timeout_seconds=0.01)


async def test_a_long_prompt_and_many_streams_do_not_stall_the_loop(engine: Engine) -> None:
    """While a 3 MB prompt goes over and 64 streams run, the loop goes on turning."""
    streams = [asyncio.ensure_future(said(engine, ask(f"{i} {ENDLESS}", new=4))) for i in range(64)]
    big = asyncio.ensure_future(said(engine, ask("word " * 600_000)))
    turns = 0
    while not any(task.done() for task in streams):
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 50
    await asyncio.gather(*streams)
    with pytest.raises(ContextOverflow):
        await big
