"""Time to the first token of the last of eight requests that come together and begin alike."""

import asyncio
import sys

from compat.peers.harness import PLAIN, TUNED, Line, Options, Row, Sample, at_most, main, rounds, rows, sides
from compat.peers.sides import Side
from compat.peers.stream import Ask
from compat.peers.texts import fresh

REQUESTS = 8
PREFIX_TOKENS = 1200
TOKENS = 4


async def shared_prefix(model: str, options: Options) -> list[Row]:
    line = Line(
        f"first token, the last of {REQUESTS} requests sharing {PREFIX_TOKENS:,} tokens",
        "s",
        {TUNED: at_most(0.20), PLAIN: at_most(0.45)},
    )
    async with sides(model, options, TUNED, PLAIN, least_context=REQUESTS * 2 * PREFIX_TOKENS) as running:
        return rows(model, await rounds(running, options, measured), line)


async def measured(side: Side, number: int) -> Sample:
    await side.wake()
    prefix = fresh(f"round {number}", PREFIX_TOKENS)
    asks = [
        Ask(f"{prefix}\n\nQuestion {which}: what stands near the station? It is the", TOKENS)
        for which in range(REQUESTS)
    ]
    replies = await asyncio.gather(*map(side.ask, asks))
    return Sample((max(reply.ttft for reply in replies),), replies)


if __name__ == "__main__":
    sys.exit(main(shared_prefix))
