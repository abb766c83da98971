"""A 3,000-token prompt beside a running stream: the stream's longest gap, and how long the prefill itself takes.

The gap is that between two pieces of the stream's text, from the prompt's arrival to the first piece after its prefill.
"""

import asyncio
import itertools
import sys

from compat.peers.decode import lasting
from compat.peers.harness import PLAIN, TUNED, Line, Options, Row, Sample, at_most, main, rounds, rows, sides
from compat.peers.sides import Side, until
from compat.peers.stream import Ask, Reply, Stream
from compat.peers.texts import fresh

PROMPT_TOKENS = 3000
BEGUN_TOKENS, LASTING_TOKENS, MOST_TOKENS = 16, 160, 2000


async def beside(model: str, options: Options) -> list[Row]:
    lines = [
        Line(name, "s", dict.fromkeys((TUNED, PLAIN), at_most(bound)), index)
        for index, (name, bound) in enumerate((
            (f"longest gap of a stream while {PROMPT_TOKENS:,} tokens prefill", 0.15),
            ("that prefill, beside the stream", 1.30),
            ("that prefill, alone", 1.02),
        ))
    ]
    async with sides(model, options, TUNED, PLAIN) as running:
        [lasts] = await lasting(running.ours, 1, LASTING_TOKENS)

        async def measured(side: Side, number: int) -> Sample:
            await side.wake()
            alone = await side.ask(Ask(fresh(f"a quiet day {number}", PROMPT_TOKENS), 1))
            stream = Stream(side.dialect, Ask(lasts.prompt, MOST_TOKENS), BEGUN_TOKENS)
            interrupted = await beside_stream(side, stream, Ask(fresh(f"a busy day {number}", PROMPT_TOKENS), 1))
            return Sample((longest_gap(stream, interrupted), interrupted.ttft, alone.ttft), [alone, interrupted])

        return rows(model, await rounds(running, options, measured), *lines)


async def beside_stream(side: Side, stream: Stream, ask: Ask) -> Reply:
    """Ask while the stream runs, and let it run until it has gone on after that."""
    task = asyncio.create_task(stream.run(side.port))
    try:
        await stream.begun.wait()
        reply = await side.ask(ask)
        await until(lambda: task.done() or stream.lines[-1][0] > reply.first)
        assert not task.done(), "the stream ended before the prefill did; it needs a prompt that goes on for longer"
        return reply
    finally:
        task.cancel()


def longest_gap(stream: Stream, during: Reply) -> float:
    """Seconds between two neighbouring lines, of which the later one came after the other prompt was sent."""
    times = [at for at, _ in stream.lines]
    return max(later - earlier for earlier, later in itertools.pairwise(times) if later > during.sent)


if __name__ == "__main__":
    sys.exit(main(beside))
