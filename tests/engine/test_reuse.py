"""The worker process with the starter model: what is reused, by whom, and what survives its end."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.errors import EngineCrashed
from hoshikage.sampling import SamplingOptions
from tests.engine.test_engine import ENDLESS, said

GB = 10**9
STORY = "The old bridge was painted red, and nobody remembered why. " * 20


def ask(prompt: str, *, new: int = 16, owner: str = "a", seed: int = -1) -> wire.Generate:
    """Without a seed: a seeded request takes nothing from snapshots, and only whole chunks from other prompts."""
    sampling = SamplingOptions(temperature=0.0, seed=seed)
    return wire.Generate(id=0, owner=owner, prompt=prompt, sampling=sampling, max_tokens=new)


def load(
    path: Path, ram: Path | None = None, disk: Path | None = None, **more: int | bool | str | tuple[str, ...]
) -> wire.Load:
    places = [wire.Place(folder=str(ram), budget=GB, ram=True)] if ram else []
    places += [wire.Place(folder=str(disk), budget=GB, ram=False)] if disk else []
    common = {"n_ctx": 4096, "n_batch": 512, "n_threads": 0, "n_gpu_layers": 0, "num_parallel": 16, **more}
    return wire.Load(path=str(path), places=tuple(places), **common)  # type: ignore[arg-type]


async def settled(folder: Path) -> None:
    """Until an idle worker has saved what it has."""
    while not list(folder.rglob("*.kv")):
        await asyncio.sleep(0.05)


async def test_a_conversation_survives_a_killed_worker(starter: Path, tmp_path: Path) -> None:
    engine = await Engine.start(load(starter, tmp_path))
    await said(engine, ask(STORY, new=4))
    await settled(tmp_path)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineCrashed):
        await said(engine, ask(STORY))
    await engine.close()
    again = await Engine.start(load(starter, tmp_path))
    _, end = await said(again, ask(STORY, new=4))
    await again.close()
    assert (end.reuse, end.cached, end.evaluated) == ("hit_snapshot", end.prompt_tokens - 1, 1)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".kv"}


async def test_an_unloaded_worker_leaves_snapshots_at_once(starter: Path, tmp_path: Path) -> None:
    engine = await Engine.start(load(starter, disk=tmp_path))
    await said(engine, ask(STORY, new=2))
    await engine.close()
    again = await Engine.start(load(starter, disk=tmp_path))
    _, end = await said(again, ask(STORY, new=2))
    await again.close()
    assert (end.reuse, end.evaluated) == ("hit_disk", 1)


async def test_a_damaged_snapshot_costs_a_prefill_and_nothing_else(starter: Path, tmp_path: Path) -> None:
    engine = await Engine.start(load(starter, tmp_path))
    first, _ = await said(engine, ask(STORY, new=8))
    await engine.close()
    (file,) = tmp_path.rglob("*.kv")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    again = await Engine.start(load(starter, tmp_path))
    text, end = await said(again, ask(STORY, new=8))
    assert not file.exists()
    await again.close()
    assert (text, end.cached, end.evaluated) == (first, 0, end.prompt_tokens)


@pytest.mark.parametrize("restart", [False, True])
async def test_no_owner_gets_what_another_has_said(starter: Path, tmp_path: Path, restart: bool) -> None:
    """Each owner's canary stands behind the same prefix; no prompt of the others is answered from its cells."""
    engine = await Engine.start(load(starter, tmp_path))
    for owner in ("a", "b", "c"):
        _, end = await said(engine, ask(f"{STORY} canary-{owner} {STORY}", owner=owner, new=2))
        assert (end.cached, end.reuse) == (0, "miss_prefix" if owner == "a" else "miss_owner")
    if restart:
        await engine.close()
        engine = await Engine.start(load(starter, tmp_path))
    for owner in ("a", "b", "c"):
        _, end = await said(engine, ask(f"{STORY} canary-{owner} {STORY}", owner=owner, new=2))
        assert end.cached == end.prompt_tokens - 1
    _, end = await said(engine, ask(f"{STORY} canary-a {STORY}", owner="d", new=2))
    await engine.close()
    assert (end.cached, end.reuse) == (0, "miss_owner")


async def test_a_common_prefix_that_comes_together_is_evaluated_once(starter: Path) -> None:
    engine = await Engine.start(load(starter))
    ends = await asyncio.gather(*(said(engine, ask(f"{STORY} Question {i}:", new=2)) for i in range(8)))
    await engine.close()
    evaluated = [end.evaluated for _, end in ends]
    assert sum(evaluated) <= max(evaluated) + 7 * 8


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A byte is a token, and a thousand of them take no time."""
    return make_tiny(tmp_path / "tiny.gguf", window=16_384)


async def test_a_pool_of_16k_serves_forty_conversations_from_snapshots(tiny: Path, tmp_path: Path) -> None:
    engine = await Engine.start(load(tiny, tmp_path / "ram", n_ctx=16_384))
    told = {i: f"{i} {STORY}" for i in range(40)}
    for turn in range(3):
        for i, text in told.items():
            _, end = await said(engine, ask(text, new=2))
            assert turn == 0 or end.cached >= 0.95 * end.prompt_tokens
            told[i] += f" Turn {turn}."
    counters = await engine.statistics()
    await engine.close()
    assert counters.resident < 20
    assert counters.allocated <= 16_384


async def test_the_cache_grows_while_others_stream(tiny: Path) -> None:
    engine = await Engine.start(load(tiny, n_ctx=32_768))
    stream = engine.generate(ask(ENDLESS, new=2000))
    await anext(stream)
    before = (await engine.statistics()).allocated
    ends = await asyncio.gather(*(said(engine, ask(f"{i} {STORY * 4}", new=150)) for i in range(4)))
    after = (await engine.statistics()).allocated
    events = [event async for event in stream]
    await engine.close()
    assert (before, after) == (8192, 32_768)
    assert all(end.evaluated == end.prompt_tokens for _, end in ends)
    assert isinstance(events[-1], wire.Done)
    assert (events[-1].completion_tokens, events[-1].evaluated) == (2000, events[-1].prompt_tokens)


async def test_two_hundred_cancelled_requests_leave_no_sequence_behind(tiny: Path, tmp_path: Path) -> None:
    rng = random.Random(3)
    engine = await Engine.start(load(tiny, tmp_path / "ram", num_parallel=8))

    async def one(i: int) -> None:
        command = ask(f"{i % 9} {STORY[: rng.randint(1, 900)]}", new=rng.randint(1, 300))
        asking = asyncio.ensure_future(said(engine, command))
        await asyncio.wait({asking}, timeout=rng.random() / 5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    for start in range(0, 200, 20):
        await asyncio.gather(*(one(start + i) for i in range(20)))
    while (counters := await engine.statistics()).running or counters.waiting:
        await asyncio.sleep(0.01)
    _, end = await said(engine, ask(STORY, new=3))
    await engine.close()
    assert end.completion_tokens == 3


async def test_a_draft_model_guesses_for_a_larger_one(starter: Path) -> None:
    """The model is its own small one here: nearly all that it guesses is what it would have said."""
    engine = await Engine.start(load(starter, draft_path=str(starter)))
    prompt = "<|im_start|>user\nTell me about the sea.<|im_end|>\n<|im_start|>assistant\n"
    _, end = await said(engine, ask(prompt, new=40))
    await engine.close()
    assert end.completion_tokens == 40
    assert end.accepted >= 0.8 * end.drafted > 0


async def test_a_draft_model_with_another_vocabulary_is_left_out(starter: Path, tiny: Path) -> None:
    engine = await Engine.start(load(starter, draft_path=str(tiny)))
    _, end = await said(engine, ask(ENDLESS, new=4))
    await engine.close()
    assert (end.completion_tokens, end.drafted) == (4, 0)


async def test_drafted_text_is_counted_and_a_seed_turns_it_off(starter: Path) -> None:
    engine = await Engine.start(load(starter))
    numbers = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24\n" * 6
    text, end = await said(engine, ask(numbers, new=80))
    _, seeded = await said(engine, ask(numbers, new=80, seed=4))
    await engine.close()
    assert text.startswith("1 2 3 4 5 6")
    assert 0 < end.accepted <= end.drafted
    assert (seeded.drafted, seeded.accepted) == (0, 0)
