"""Two engines on one machine: how long both take together, against one after the other, by OpenMP's spinning.

The peer is GNU's default; ours is the worker's SPIN_COUNT. Each round runs both ways in turn (paired).
"""

import asyncio
import os
import statistics
import time

from compat.peers.step_overhead import load, run
from hoshikage.engine.client import SPIN_COUNT, Engine
from hoshikage.models.hubs.package_index import PINNED
from tests.conftest import cache_folder

ROUNDS = 5
TOKENS = 24
CAP_SECONDS = 15.0
GNU_DEFAULT = "300000"


async def main() -> None:
    pairs = [(await measured(SPIN_COUNT), await measured(GNU_DEFAULT)) for _ in range(ROUNDS)]
    for name, index in (("one engine alone", 0), ("two at once", 1)):
        ratio = statistics.median(ours[index] / peers[index] for ours, peers in pairs)
        ours, peers = (sorted(pair[side][index] for pair in pairs) for side in (0, 1))
        print(
            f"{name}, {TOKENS} tokens each: median {statistics.median(ours):.2f} s, worst {ours[-1]:.2f} s;"
            f" with GNU's default spinning {statistics.median(peers):.2f} s, worst {peers[-1]:.2f} s;"
            f" median of paired ratios {ratio:.2f} (runs are cut off at {CAP_SECONDS:.0f} s)"
        )


async def measured(spin_count: str) -> tuple[float, float]:
    """Seconds of one engine alone, and of two that run at once."""
    os.environ["GOMP_SPINCOUNT"] = spin_count
    path = cache_folder() / PINNED[0].file
    first, second = await Engine.start(load(path)), await Engine.start(load(path))
    for engine in (first, second):
        await run(engine, 1, 4)
    alone = await timed(first)
    both = await timed(first, second)
    await asyncio.gather(first.close(), second.close())
    return alone, both


async def timed(*engines: Engine) -> float:
    """Seconds; CAP_SECONDS stands for "longer than that"."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CAP_SECONDS):
            await asyncio.gather(*(run(engine, 1, TOKENS) for engine in engines))
    except TimeoutError:
        return CAP_SECONDS
    return time.perf_counter() - started


if __name__ == "__main__":
    asyncio.run(main())
