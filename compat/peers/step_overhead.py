"""Our time on the critical path a step: between two llama_decode calls, at 1 and at 8 sequences.

Targets: 60 µs a sequence and 30 µs a step, llama.cpp's own samplers not counted. The counters are the worker's.
"""

import asyncio
import statistics
from contextlib import aclosing
from pathlib import Path

from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.models.hubs.package_index import PINNED
from hoshikage.sampling import SamplingOptions
from tests.conftest import cache_folder

ROUNDS = 7
TOKENS = 128
STEP_TARGET_US, SEQUENCE_TARGET_US = 30, 60


async def main() -> None:
    engine = await Engine.start(load(cache_folder() / PINNED[0].file))
    await run(engine, 1, 8)
    for sequences in (1, 8):
        rounds = [await measured(engine, sequences) for _ in range(ROUNDS)]
        ours, samplers, decode = (statistics.median(each) for each in zip(*rounds, strict=True))
        target = STEP_TARGET_US + SEQUENCE_TARGET_US * sequences
        print(
            f"{sequences} sequences: ours {ours:.0f} µs a step (target {target}), samplers {samplers:.0f} µs,"
            f" llama_decode {decode:.0f} µs; median of {ROUNDS} rounds of {TOKENS} tokens"
        )
    await engine.close()


def load(path: Path) -> wire.Load:
    return wire.Load(path=str(path), n_ctx=4096, n_batch=512, n_threads=0, n_gpu_layers=0, num_parallel=8)


async def measured(engine: Engine, sequences: int) -> tuple[float, float, float]:
    """Microseconds a step: ours, in llama.cpp's samplers, in llama_decode."""
    before = await engine.statistics()
    await run(engine, sequences, TOKENS)
    after = await engine.statistics()
    steps = after.decodes - before.decodes
    host, sample = after.host_ns - before.host_ns, after.sample_ns - before.sample_ns
    return (host - sample) / steps / 1e3, sample / steps / 1e3, (after.decode_ns - before.decode_ns) / steps / 1e3


async def run(engine: Engine, sequences: int, tokens: int) -> None:
    await asyncio.gather(*(one(engine, number, tokens) for number in range(sequences)))


async def one(engine: Engine, number: int, tokens: int) -> None:
    """Greedy counting, which does not end by itself."""
    prompt = f"Count from {number}: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,"
    sampling = SamplingOptions(seed=1)
    command = wire.Generate(id=0, owner="bench", prompt=prompt, sampling=sampling, max_tokens=tokens)
    async with aclosing(engine.generate(command)) as events:
        async for _ in events:
            pass


if __name__ == "__main__":
    asyncio.run(main())
