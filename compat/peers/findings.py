"""Rows of what is measured against a fixed bound and no peer, and the command line of such measures.

Knows no measure. The load average stands below each table: on a machine with other work the times are not ours alone.
"""

import argparse
import asyncio
import os
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from compat.peers.harness import MODELS, stoppable

HEAD = "| measure | model | target | measured | reached |\n|---|---|---|---|---|"
PAIRS = 10
NO_MODEL = "-"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row; `model` is the letter of the table."""

    measure: str
    model: str
    target: str
    measured: str
    reached: bool

    def __str__(self) -> str:
        return (
            f"| {self.measure} | {self.model} | {self.target} | {self.measured} | {'yes' if self.reached else 'no'} |"
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """The rows of one measure and what is to be known of how they came about."""

    rows: Sequence[Finding]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """By the command line: which models, how many rounds, and how long is waited and watched, in seconds."""

    models: tuple[str, ...]
    pairs: int
    wait: float
    seconds: float


Measure = Callable[[Chosen], Awaitable[Findings]]


def main(measure: Measure, *, pairs: int = PAIRS, wait: float = 60.0, seconds: float = 30.0) -> int:
    """Measure and print the table; SIGTERM stops the servers too. Returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=pairs)
    parser.add_argument("--wait", type=float, default=wait, help="seconds before something idle is watched")
    parser.add_argument("--seconds", type=float, default=seconds, help="for which it is watched")
    parser.add_argument("--model", choices=sorted(MODELS), help="default: all")
    given = parser.parse_args()
    chosen = Chosen((given.model,) if given.model else tuple(MODELS), given.pairs, given.wait, given.seconds)
    return asyncio.run(stoppable(table(measure, chosen)))


async def table(measure: Measure, chosen: Chosen) -> None:
    before = os.getloadavg()[0]
    found = await measure(chosen)
    print(HEAD)
    print("\n".join(map(str, found.rows)))
    load = f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    print("\n".join(["", *(f"- {each}" for each in (*found.notes, load))]), flush=True)


def seconds(values: Sequence[float]) -> str:
    """The median and the extremes."""
    return f"{statistics.median(values):.3f} s ({min(values):.3f} to {max(values):.3f})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Of the pairs, one by one."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]
