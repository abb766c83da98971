"""From a request for a model that is not loaded, with its copy on the RAM disk, to the first text. Target 0.5 s.

Below the table stands where the time goes, by a worker of our own that takes the same steps (stages.py); the rest is
the gateway's, and the way between the two.
"""

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from compat.peers.answers import staged, status
from compat.peers.findings import Chosen, Finding, Findings, main, seconds
from compat.peers.idle import starter
from compat.peers.sides import WAKE, Ours
from compat.peers.stages import stages

TARGET_SECONDS = 0.5


async def first_token(chosen: Chosen) -> Findings:
    async with starter() as side:
        await staged(side)
        found = [await once(side) for _ in range(chosen.pairs)]
        steps = stages(copy_of(side), chosen.pairs)
    reached = statistics.median(found) <= TARGET_SECONDS
    row = Finding("load from the RAM disk to the first token", "S", f"≤ {TARGET_SECONDS} s", seconds(found), reached)
    return Findings([row], [described(steps, statistics.median(found))])


async def once(side: Ours) -> float:
    reply = await side.ask(WAKE)
    await side.unload()
    return reply.ttft


def copy_of(side: Ours) -> Path:
    """The copy on the RAM disk."""
    folder = status(side).ramdisk.folder
    assert folder is not None, "there is no RAM disk"
    [path] = Path(folder).glob("models/*/*.gguf")
    return path


def described(steps: Mapping[str, float], whole: float) -> str:
    until_first = {name: spent for name, spent in steps.items() if name != "second token"}
    rest = {"the gateway and the rest": whole - sum(until_first.values())}
    return ", ".join(f"{name} {spent * 1000:.0f} ms" for name, spent in {**until_first, **rest}.items())


if __name__ == "__main__":
    sys.exit(main(first_token))
