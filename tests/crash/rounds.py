"""Which stage a worker is in when it dies, in what manner, in which order; and what became of each. Pure."""

import enum
import itertools
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "25"))
"""Each stage five times, which is what `make test` has the time for; `make compat` plays fifty."""
THOROUGH = ROUNDS >= 50


class Stage(enum.StrEnum):
    LOAD = "load"
    PREFILL = "prefill"
    DECODE = "decode"
    EMBEDDING = "embedding"
    SNAPSHOT = "snapshot"


class Manner(enum.StrEnum):
    KILL = "kill -9"
    SEGV = "SEGV"
    ABRT = "ABRT"
    OOM = "OOM"


@dataclass(frozen=True)
class Round:
    """One death. `dice` decides all else about it; a repeated round throws them on."""

    number: int
    stage: Stage
    manner: Manner
    dice: random.Random


def plan(seed: int, count: int) -> list[Round]:
    """So many rounds, shuffled: every stage with every manner equally often, the rest one stage after another."""
    dice = random.Random(seed)
    pairs = list(itertools.product(Stage, Manner))
    often, rest = divmod(count, len(pairs))
    stages = itertools.islice(itertools.cycle(Stage), rest)
    chosen = [*pairs * often, *((stage, dice.choice(list(Manner))) for stage in stages)]
    dice.shuffle(chosen)
    return [Round(number, *pair, random.Random(f"{seed}.{number}")) for number, pair in enumerate(chosen)]


def groups(rounds: Sequence[Round], size: int) -> list[list[Round]]:
    return [list(rounds[start : start + size]) for start in range(0, len(rounds), size)]


@dataclass
class Tally:
    """How often a worker died in a stage, and how often it was missed and the round repeated."""

    hits: Counter[tuple[Stage, Manner]] = field(default_factory=Counter)
    misses: Counter[Stage] = field(default_factory=Counter)

    def table(self) -> Iterator[str]:
        yield f"{'':<11}" + "".join(f"{manner:>9}" for manner in Manner) + f"{'all':>6}{'missed':>8}"
        for stage in Stage:
            row = [self.hits[stage, manner] for manner in Manner]
            yield f"{stage:<11}" + "".join(f"{n:>9}" for n in row) + f"{sum(row):>6}{self.misses[stage]:>8}"
