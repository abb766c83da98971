"""What a client costs that asks how the server is every 0.2 s while a model is loaded and nothing else is asked.

The worker must save its conversation all the same, within a few seconds, and stay as good as asleep.
"""

import asyncio
import sys
import time
from pathlib import Path

import httpx

from compat.peers.answers import answer, status, url
from compat.peers.findings import Chosen, Finding, Findings, main
from compat.peers.idle import counts, spent, starter
from compat.peers.sides import PATIENCE_SECONDS, Ours
from compat.peers.texts import fresh

EVERY_SECONDS = 0.2
PATHS = ("/v1/status", "/api/ps")
TOKENS = 600
SAVED_SECONDS, WORKER_PERCENT = 2.0, 1.0


async def polling(chosen: Chosen) -> Findings:
    rows = []
    for path in PATHS:
        async with starter() as side:
            answer(side, fresh(path, TOKENS))
            rows.append(await saved(side, path))
            rows.append(await watched(side, path, chosen.seconds))
    return Findings(rows)


async def saved(side: Ours, path: str) -> Finding:
    """How long it takes until the conversation has a snapshot. Raises TimeoutError after PATIENCE_SECONDS."""
    folder, started = Path(status(side).ramdisk.folder or side.folder), time.perf_counter()
    async with asyncio.timeout(PATIENCE_SECONDS), httpx.AsyncClient(base_url=url(side)) as client:
        while not snapshots(folder):
            (await client.get(path)).raise_for_status()
            await asyncio.sleep(EVERY_SECONDS)
    took = time.perf_counter() - started
    what = f"a conversation is saved though {path} is asked every {EVERY_SECONDS} s"
    return Finding(what, "S", f"≤ {SAVED_SECONDS} s", f"{took:.1f} s", took <= SAVED_SECONDS)


def snapshots(folder: Path) -> list[Path]:
    return list(folder.rglob("*.kv"))


async def watched(side: Ours, path: str, seconds: float) -> Finding:
    [worker] = status(side).models
    pids = (side.pid, worker.pid)
    before = [counts(pid) for pid in pids]
    async with httpx.AsyncClient(base_url=url(side)) as client:
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            (await client.get(path)).raise_for_status()
            await asyncio.sleep(EVERY_SECONDS)
    (gateway, _), (idle, wakes) = (spent(a, counts(pid), seconds) for pid, a in zip(pids, before, strict=True))
    measured = f"{idle:.2f} % and {wakes:.1f} wakes/s; the gateway {gateway:.2f} %"
    what = f"CPU of the idle worker while {path} is asked every {EVERY_SECONDS} s"
    return Finding(what, "S", f"≤ {WORKER_PERCENT} %", measured, idle <= WORKER_PERCENT)


if __name__ == "__main__":
    sys.exit(main(polling, seconds=10.0))
