"""How much of a conversation of 2,000 tokens is evaluated again when it goes on after the server had forgotten it.

Once after GREAT_TIMEOUT, which empties the RAM disk, and a restart of the server; once after another model had to take
its model's place. Counted by the server, as its final chunk tells. Target: at most 5 % of the prompt's tokens.
"""

import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from compat.peers.answers import Answer, answer, status
from compat.peers.findings import Chosen, Finding, Findings, main
from compat.peers.harness import MODELS
from compat.peers.resume import conversation
from compat.peers.sides import MODEL, Ours, until
from tests.conftest import pulled
from tests.program import hoshikage

TARGET_SHARE = 0.05
GREAT_TIMEOUT = "0.02"
"""Minutes: the setting takes fractions, so nobody waits for an hour."""
OTHER = "other"

Away = Callable[[Ours], Awaitable[None]]
"""What happens between two turns of a conversation."""


async def returning(chosen: Chosen) -> Findings:
    rows = []
    for model in chosen.models:
        async with home(model, GREAT_TIMEOUT=GREAT_TIMEOUT) as side:
            rows.append(
                await measured(side, model, "the RAM disk was emptied and the server restarted", emptied, chosen)
            )
        async with home(model, OLLAMA_MAX_LOADED_MODELS="1") as side:
            rows.append(await measured(side, model, "another model took its place", swapped, chosen))
    return Findings(rows, [f"GREAT_TIMEOUT was {float(GREAT_TIMEOUT) * 60:.1f} s"])


@asynccontextmanager
async def home(model: str, **settings: str) -> AsyncIterator[Ours]:
    """A server with the model, and the next one of the table as `other`."""
    names = list(MODELS)
    other = names[(names.index(model) + 1) % len(names)]
    with tempfile.TemporaryDirectory() as folder:
        side = Ours(Path(folder) / "ours", pulled(MODELS[model][1]), **settings)
        added = hoshikage(side.folder, "add", str(pulled(MODELS[other][1])), OTHER)
        assert added.returncode == 0, added.stderr
        try:
            await side.start()
            yield side
        finally:
            side.stop()


async def measured(side: Ours, model: str, what: str, away: Away, chosen: Chosen) -> Finding:
    found: list[Answer] = []
    for number in range(chosen.pairs):
        prompt = await conversation(side, f"{what}, round {number}", [])
        await away(side)
        found.append(answer(side, prompt))
    worst = max(found, key=lambda each: each.share)
    share = statistics.median(each.share for each in found)
    cache = f"worst {worst.cache.evaluated} of {worst.prompt_tokens}, {worst.cache.reason}"
    measure = f"prompt tokens evaluated again after {what}"
    reached = worst.share <= TARGET_SHARE
    return Finding(measure, MODELS[model][0], f"≤ {TARGET_SHARE:.0%}", f"{share:.1%} ({cache})", reached)


async def emptied(side: Ours) -> None:
    """The model is unloaded, GREAT_TIMEOUT passes, the server is restarted."""
    await side.unload()
    await until(lambda: status(side).ramdisk.folder is None)
    side.stop()
    side.spawn()
    await until(lambda: listens(side))


def listens(side: Ours) -> bool:
    try:
        return not status(side).models
    except httpx.TransportError:
        return False


async def swapped(side: Ours) -> None:
    """The other model answers, and is the only one loaded then."""
    answer(side, "Good morning", model=OTHER)
    names = [each.name for each in status(side).models]
    assert names == [OTHER], f"{names} are loaded, {MODEL} should have gone"


if __name__ == "__main__":
    sys.exit(main(returning, pairs=2))
