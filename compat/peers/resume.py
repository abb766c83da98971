"""Time to the first token of turn 6 of a 2,000-token conversation, after idle unload and after a server restart.

The model's load is part of it, and after a restart the program's start too. All sides read the replies of whichever
side came first in the round, so that the prompts are equal by text.
"""

import sys
from collections import defaultdict

from compat.peers.harness import TUNED, Line, Options, Row, Sample, at_most, main, rounds, rows, sides
from compat.peers.sides import Side
from compat.peers.stream import Ask
from compat.peers.texts import fresh

TURNS = 6
TURN_TOKENS, REPLY_TOKENS = 365, 16
QUESTION = "Which of these notes is about a lamp? Answer in one sentence."
TARGET = {"starter": at_most(0.15), "gemma": at_most(0.30)}

Replies = defaultdict[int, list[str]]
"""What the first side said, turn by turn, by the number of the round."""


async def after_unload(model: str, options: Options) -> list[Row]:
    replies: Replies = defaultdict(list)

    async def measured(side: Side, number: int) -> Sample:
        await side.wake()
        text = await conversation(side, f"round {number}", replies[number])
        await side.unload()
        reply = await side.ask(Ask(text, 1))
        return Sample((reply.ttft,), [reply])

    line = Line("first token, turn 6 of 2,000 tokens after idle unload", "s", {TUNED: TARGET[model]})
    async with sides(model, options, TUNED) as running:
        return rows(model, await rounds(running, options, measured), line)


async def after_restart(model: str, options: Options) -> list[Row]:
    replies: Replies = defaultdict(list)

    async def measured(side: Side, number: int) -> Sample:
        await side.wake()
        text = await conversation(side, f"round {number}", replies[number])
        side.stop()
        started = side.spawn()
        reply = await side.ask_when_up(Ask(text, 1))
        return Sample((reply.first - started,), [reply])

    line = Line("first token, turn 6 of 2,000 tokens after a restart, from exec", "s", {TUNED: TARGET[model]})
    async with sides(model, options, TUNED) as running:
        return rows(model, await rounds(running, options, measured), line)


async def conversation(side: Side, seed: str, replies: list[str]) -> str:
    """Have the turns before the last one; returns the prompt of the last one. Missing replies are added."""
    text = "A user reads notes to an assistant.\n"
    for turn in range(TURNS - 1):
        text += f"\nUser: {fresh(f'{seed}, turn {turn}', TURN_TOKENS)}\nAssistant:"
        reply = await side.ask(Ask(text, REPLY_TOKENS))
        if turn == len(replies):
            replies.append(reply.text)
        text += replies[turn]
    return f"{text}\nUser: {QUESTION}\nAssistant:"


if __name__ == "__main__":
    sys.exit(main(after_unload, after_restart))
