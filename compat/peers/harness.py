"""Interleaved pairs of ours and the peers, and the Markdown table of them. Knows no measure.

A measure asks every side in turn, as often as there are pairs; a row is the median of ours / peer.
"""

import argparse
import asyncio
import os
import signal
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from compat.peers import llama_server
from compat.peers.sides import SLEEP_SECONDS, Ours, Peer, Side
from compat.peers.stream import Reply
from hoshikage.engine.client import SPIN_COUNT
from hoshikage.engine.threads import physical_cores
from tests.conftest import pulled

MODELS = {"starter": ("S", "starter"), "gemma": ("G", "gemma3-270m")}
"""The letter in the table, and what the hub calls it."""

PAIRS = 5
THREADS = ("-t", str(physical_cores()))
OURS, OTHERWISE = "ours", "ours otherwise"
TUNED, PLAIN, NGRAM = "-np 8", "defaults", "ngram-simple"

HEAD = """\
| measure | model | against | target | median ratio | reached | spread | ours | peer | unit |
|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured: which models, how many pairs, and settings for one more side of ours."""

    models: tuple[str, ...] = tuple(MODELS)
    pairs: int = PAIRS
    against: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    """The peers' flags as they were started, for the foot of the table."""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of ours / peer: at most or at least `bound`."""

    sign: str
    bound: float

    def reached(self, ratio: float) -> bool:
        return ratio <= self.bound if self.sign == "≤" else ratio >= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:.2f}"


def at_most(bound: float) -> Target:
    return Target("≤", bound)


def at_least(bound: float) -> Target:
    return Target("≥", bound)


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of one model against one peer: a pair of values a round, in `unit`."""

    measure: str
    model: str
    against: str
    target: Target
    unit: str
    pairs: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        ratios = [ours / peer for ours, peer in self.pairs]
        ratio = statistics.median(ratios)
        ours, peer = (statistics.median(values) for values in zip(*self.pairs, strict=True))
        reached = "yes" if self.target.reached(ratio) else "no"
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        cells = (self.measure, MODELS[self.model][0], self.against, self.target, f"{ratio:.2f}", reached, spread)
        return f"| {' | '.join(map(str, cells))} | {ours:.3g} | {peer:.3g} | {self.unit} |"


@dataclass(frozen=True, slots=True)
class Sides:
    """Ours and the peers by the names of the table, all running."""

    ours: Ours
    peers: dict[str, Side]

    @property
    def all(self) -> dict[str, Side]:
        return {OURS: self.ours, **self.peers}


@asynccontextmanager
async def sides(model: str, options: Options, *names: str, least_context: int = 0) -> AsyncIterator[Sides]:
    """Start ours, then the peers of these names with our window. Everything is stopped at the end.

    `least_context` is what a peer needs that keeps a copy of the same tokens for every request.
    """
    path = pulled(MODELS[model][1])
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        ours = Ours(folder / "ours", path)
        stack.callback(ours.stop)
        await ours.start()
        flags = peer_flags(max(ours.context(), least_context))
        peers: dict[str, Side] = {name: Peer(folder / name, path, *flags[name]) for name in names}
        if options.against:
            peers[OTHERWISE] = Ours(folder / "otherwise", path, **options.against)
        for name, side in peers.items():
            stack.callback(side.stop)
            await side.start()
            note(options.flags, f"{MODELS[model][0]}, {name}: `{side.name}`")
        yield Sides(ours, peers)


def peer_flags(context: int) -> dict[str, tuple[str, ...]]:
    """By the peer's name in the table; `context` in tokens."""
    sizes = ("-np", "8", "-kvu", "-c", str(context), "-b", "2048", "-ub", "512")
    tuned = (*sizes, *THREADS, "--sleep-idle-seconds", str(SLEEP_SECONDS))
    return {TUNED: tuned, PLAIN: THREADS, NGRAM: (*tuned, "--spec-type", "ngram-simple")}


@dataclass(frozen=True, slots=True)
class Sample:
    """What one side did in one round: the values measured, and the replies whose counts must equal the others'."""

    values: tuple[float, ...]
    replies: Sequence[Reply]

    @property
    def counts(self) -> list[tuple[int, int]]:
        """Prompt tokens and completion tokens of every reply."""
        return [(reply.prompt_tokens, reply.tokens) for reply in self.replies]


Found = dict[str, list[Sample]]


async def rounds(sides: Sides, options: Options, measured: Callable[[Side, int], Awaitable[Sample]]) -> Found:
    """A sample of every side in every round; ours comes first in even rounds and last in odd ones.

    Raises AssertionError where two sides did not read and write the same number of tokens.
    """
    found: Found = {name: [] for name in sides.all}
    for number in range(options.pairs):
        order = list(sides.all.items())
        for name, side in order if number % 2 == 0 else reversed(order):
            found[name].append(await measured(side, number))
        counts = {name: samples[-1].counts for name, samples in found.items()}
        assert all(each == counts[OURS] for each in counts.values()), f"unequal token counts: {counts}"
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """Which of a sample's values makes a row, and what it must reach against which peer."""

    measure: str
    unit: str
    targets: dict[str, Target]
    index: int = 0


def rows(model: str, found: Found, *lines: Line) -> list[Row]:
    """A row for every line and peer; a side that no line names is held to the target of the first peer."""
    made = []
    for line in lines:
        for peer in [name for name in found if name != OURS]:
            target = line.targets.get(peer) or next(iter(line.targets.values()))
            both = zip(found[OURS], found[peer], strict=True)
            pairs = tuple((ours.values[line.index], theirs.values[line.index]) for ours, theirs in both)
            made.append(Row(line.measure, model, peer, target, line.unit, pairs))
    return made


Measure = Callable[[str, Options], Awaitable[Sequence[Row]]]


def main(*measures: Measure) -> int:
    """The command line of every measure: prints the table of these for each model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--model", choices=sorted(MODELS), help="default: all")
    parser.add_argument(
        "--against", action="append", default=[], metavar="NAME=VALUE", help="one more side: ours with it"
    )
    given = parser.parse_args()
    settings = dict(each.split("=", 1) for each in given.against)
    options = Options((given.model,) if given.model else tuple(MODELS), given.pairs, settings)
    return asyncio.run(stoppable(table(measures, options)))


async def stoppable(work: Coroutine[None, None, None]) -> int:
    """Run it; SIGTERM cancels it, so that the servers are stopped then too. Returns the exit code."""
    task = asyncio.create_task(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        return 1
    task.result()
    return 0


async def table(measures: Sequence[Measure], options: Options) -> None:
    """Print the rows as they come, and below them what they were measured against."""
    program = llama_server.binary()
    print(HEAD, flush=True)
    for measure in measures:
        for model in options.models:
            for row in await measure(model, options):
                print(row, flush=True)
    spin = os.environ.get("GOMP_SPINCOUNT")
    spinning = f"GOMP_SPINCOUNT: {spin} on all sides" if spin else f"GOMP_SPINCOUNT: ours {SPIN_COUNT}, peers unset"
    print(f"\n{options.pairs} interleaved pairs; {llama_server.described(program)}; {spinning}. Peers:\n")
    print("\n".join(f"- {each}" for each in options.flags), flush=True)


def note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)
