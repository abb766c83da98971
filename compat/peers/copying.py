"""Tokens a second of text that is mostly copied from the prompt: repeat this passage, edit this code."""

import sys

from compat.peers.harness import NGRAM, PLAIN, Line, Options, Row, Sample, at_least, main, rounds, rows, sides
from compat.peers.sides import Side
from compat.peers.stream import Ask
from compat.peers.texts import COPYING

TOKENS = 112
GAIN = {"starter": 1.25, "gemma": 1.5}


async def copying(model: str, options: Options) -> list[Row]:
    targets = {PLAIN: at_least(GAIN[model]), NGRAM: at_least(1.0)}
    lines = [Line(f"decode, 1 stream, {name}", "tokens/s", targets, index) for index, name in enumerate(COPYING)]

    async def measured(side: Side, number: int) -> Sample:
        await side.wake()
        replies = [await side.ask(Ask(prompt, TOKENS)) for prompt in COPYING.values()]
        return Sample(tuple(reply.rate for reply in replies), replies)

    async with sides(model, options, PLAIN, NGRAM) as running:
        return rows(model, await rounds(running, options, measured), *lines)


if __name__ == "__main__":
    sys.exit(main(copying))
