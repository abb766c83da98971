"""Tokens a second of novel text: one stream, and eight streams together.

Small models soon repeat themselves, so novel text is written with a penalty on both sides; and they soon end, so the
prompts are those that this model goes on from.
"""

import asyncio
import sys

from compat.peers.harness import PLAIN, TUNED, Line, Options, Row, Sample, at_least, main, rounds, rows, sides
from compat.peers.sides import Side
from compat.peers.stream import Ask, Reply
from compat.peers.texts import NOVEL_PENALTY, STORIES

ALONE_TOKENS, TOGETHER_TOKENS = 128, 96
STREAMS = 8


async def one_stream(model: str, options: Options) -> list[Row]:
    line = Line(
        f"decode, 1 stream, novel text ({ALONE_TOKENS} tokens)",
        "tokens/s",
        dict.fromkeys((TUNED, PLAIN), at_least(0.97)),
    )
    async with sides(model, options, TUNED, PLAIN) as running:
        ask = await novel(running.ours, ALONE_TOKENS)

        async def measured(side: Side, number: int) -> Sample:
            await side.wake()
            reply = await side.ask(ask)
            return Sample((reply.rate,), [reply])

        return rows(model, await rounds(running, options, measured), line)


async def eight_streams(model: str, options: Options) -> list[Row]:
    line = Line(f"decode, {STREAMS} streams, total", "tokens/s", dict.fromkeys((TUNED, PLAIN), at_least(1.0)))
    async with sides(model, options, TUNED, PLAIN) as running:
        asks = await lasting(running.ours, STREAMS, TOGETHER_TOKENS)

        async def measured(side: Side, number: int) -> Sample:
            await side.wake()
            replies = await asyncio.gather(*map(side.ask, asks))
            return Sample((total_rate(replies),), replies)

        return rows(model, await rounds(running, options, measured), line)


async def novel(side: Side, tokens: int) -> Ask:
    """The first prompt that goes on for so many tokens, also when it is asked again."""
    for prompt in STORIES:
        ask = Ask(prompt, tokens, NOVEL_PENALTY)
        if all([(await side.ask(ask)).tokens == tokens for _ in range(2)]):
            return ask
    raise AssertionError(f"no prompt goes on for {tokens} tokens; add some to compat.peers.texts.STORIES")


async def lasting(side: Side, count: int, tokens: int) -> list[Ask]:
    """So many prompts that go on for twice as many tokens, novel or not."""
    asks = [Ask(prompt, 2 * tokens) for prompt in STORIES]
    replies = await asyncio.gather(*map(side.ask, asks))
    found = [ask for ask, reply in zip(asks, replies, strict=True) if reply.tokens == ask.tokens]
    assert len(found) >= count, f"only {len(found)} prompts go on; add some to compat.peers.texts.STORIES"
    return [Ask(ask.prompt, tokens) for ask in found[:count]]


def total_rate(replies: list[Reply]) -> float:
    """Tokens a second of all streams, from the first token of any to the end of all."""
    seconds = max(reply.end for reply in replies) - min(reply.first for reply in replies)
    return sum(reply.tokens - 1 for reply in replies) / seconds


if __name__ == "__main__":
    sys.exit(main(one_stream, eight_streams))
