"""Prompt-lookup speculation: guess how a sequence goes on from its own text, and judge whether the guess pays. Pure.

A sequence's last tokens are looked up in what it has so far, and what followed them there is the draft (prompt lookup
decoding, A. Saxena 2023; the verification is that of arXiv:2211.17192). What a batch of n tokens costs is measured on
the steps themselves, and how often a guess comes true by the length of the match that made it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hoshikage.engine.pace import mean
from hoshikage.engine.sequence import Sequence

NGRAM = 3
"""Tokens that must be equal for a match."""
LONGEST_MATCH = 32
LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Draft lengths that are considered."""
PRIOR_PER_TOKEN = 0.5
"""Cost of another token in a batch, in decode steps, before it was measured."""
MARGIN = 1.08
"""A draft must promise at least so many times the tokens a second of a plain step."""
BUCKETS = (NGRAM, 6, 12, 24)
"""Match lengths from which on another acceptance rate counts."""
FIRST_RATES = (0.3, 0.6, 0.85, 0.95)
HELPED_RATE = 0.7
RATE_WEIGHT = 0.15


@dataclass(frozen=True, slots=True)
class Guess:
    """What followed the last occurrence of a sequence's end, and again where it ends; `match` tokens were equal."""

    tokens: tuple[int, ...]
    match: int


class Lookup:
    """The n-grams of one sequence and where they ended last, brought up to date by each look."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, ...], int] = {}
        self._seen = NGRAM - 1

    def guess(self, tokens: list[int], most: int) -> Guess | None:
        """How `tokens` may go on, at most `most` tokens of it; None where their end occurs nowhere else."""
        self._learn(tokens)
        at = self._ends.get(tuple(tokens[-NGRAM:]))
        if at is None:
            return None
        period = len(tokens) - at
        return Guess(tuple(tokens[at + i % period] for i in range(most)), _match(tokens, at))

    def _learn(self, tokens: list[int]) -> None:
        """All n-grams but the one at the very end."""
        for end in range(self._seen, len(tokens)):
            self._ends[tuple(tokens[end - NGRAM : end])] = end
        self._seen = max(self._seen, len(tokens))


def _match(tokens: list[int], at: int) -> int:
    """How many tokens before `at` equal those at the end."""
    length, last = NGRAM, len(tokens)
    while length < min(LONGEST_MATCH, at) and tokens[at - length - 1] == tokens[last - length - 1]:
        length += 1
    return length


class Costs:
    """The measured time of a step by its number of tokens, in plain decode steps of one sequence."""

    def __init__(self) -> None:
        self._ns: dict[int, float] = {}

    def learn(self, length: int, elapsed_ns: int) -> None:
        self._ns[length] = mean(self._ns.get(length, 0.0), elapsed_ns)

    def ns(self, length: int) -> float:
        """Nanoseconds, interpolated between the measured lengths, and by PRIOR_PER_TOKEN where only one is known."""
        below = max((n for n in self._ns if n <= length), default=None)
        above = min((n for n in self._ns if n >= length), default=None)
        if below is None or above is None:
            return self._extrapolated(length, below or above)
        if below == above:
            return self._ns[below]
        share = (length - below) / (above - below)
        return self._ns[below] + share * (self._ns[above] - self._ns[below])

    def _extrapolated(self, length: int, known: int | None) -> float:
        prior = 1 + PRIOR_PER_TOKEN * (length - 1)
        return self._ns[known] * prior / (1 + PRIOR_PER_TOKEN * (known - 1)) if known else prior


@dataclass(slots=True)
class Rate:
    """How probable it is that a drafted token comes true after the ones before it."""

    value: float

    def learn(self, *, came_true: bool) -> None:
        self.value += RATE_WEIGHT * (came_true - self.value)


class Helper(Protocol):
    """A second way to guess, which costs time. `token_ns` is what a guessed token takes."""

    @property
    def token_ns(self) -> float: ...
    def guess(self, id_: int, tokens: list[int], most: int) -> tuple[int, ...]: ...
    def close(self, id_: int) -> None: ...


@dataclass(slots=True)
class Memo:
    """What is remembered of one sequence; `guess` was made at its length `at`, and is judged by `rate`."""

    lookup: Lookup = field(default_factory=Lookup)
    rates: tuple[Rate, ...] = field(default_factory=lambda: tuple(Rate(value) for value in FIRST_RATES))
    helped: Rate = field(default_factory=lambda: Rate(HELPED_RATE))
    guess: tuple[int, ...] = ()
    rate: Rate = field(default_factory=lambda: Rate(0.0))
    at: int = 0


class Drafter:
    """Drafts for the sequences of one context. Every guess is judged afterwards, drafted or not."""

    def __init__(self, helper: Helper | None = None) -> None:
        self.costs = Costs()
        self.drafted = 0
        self.accepted = 0
        self._helper = helper
        self._memos: dict[int, Memo] = {}

    def open(self, id_: int) -> None:
        """From now on this sequence is drafted for."""
        self._memos[id_] = Memo()

    def close(self, id_: int) -> None:
        if self._memos.pop(id_, None) and self._helper:
            self._helper.close(id_)

    def draft(self, sequence: Sequence, others: int) -> tuple[int, ...]:
        """The guess that pays in a step in which `others` decode too; empty if none does."""
        memo = self._memos.get(sequence.id)
        if memo is None:
            return ()
        self._judge(memo, sequence.tokens)
        memo.guess, memo.at = (), len(sequence.tokens)
        if found := memo.lookup.guess(sequence.tokens, LENGTHS[-1]):
            memo.guess, memo.rate = found.tokens, memo.rates[_bucket(found.match)]
            if length := self._length(memo.rate.value, others):
                return found.tokens[:length]
        return self._helped(self._helper, memo, sequence, others) if self._helper else ()

    def learn(self, lengths: Mapping[int, int], elapsed_ns: int) -> None:
        """A step of decoding sequences only, with so many tokens of each id, has taken so long."""
        if len(lengths) == 1:
            self.costs.learn(sum(lengths.values()), elapsed_ns)

    def count(self, drafted: int, accepted: int) -> None:
        self.drafted += drafted
        self.accepted += accepted

    def _helped(self, helper: Helper, memo: Memo, sequence: Sequence, others: int) -> tuple[int, ...]:
        length = self._length(memo.helped.value, others, helper.token_ns)
        guess = helper.guess(sequence.id, sequence.tokens, length) if length else ()
        if guess:
            memo.guess, memo.rate = guess, memo.helped
        return guess

    def _judge(self, memo: Memo, tokens: list[int]) -> None:
        if memo.at >= len(tokens):
            return
        for guessed, token in zip(memo.guess, tokens[memo.at :], strict=False):
            memo.rate.learn(came_true=guessed == token)
            if guessed != token:
                return

    def _length(self, rate: float, others: int, token_ns: float = 0.0) -> int:
        """The draft length that promises most tokens a second, 0 if none beats a plain step by MARGIN."""
        plain = self.costs.ns(1 + others)
        best, most = 0, MARGIN
        for length in LENGTHS:
            cost = self.costs.ns(1 + others + length) + length * token_ns
            gain = _expected(rate, length) * plain / cost
            if gain > most:
                best, most = length, gain
        return best


def _bucket(match: int) -> int:
    return sum(match >= least for least in BUCKETS) - 1


def _expected(rate: float, length: int) -> float:
    """Tokens of a step with a draft, if each comes true with this probability after the ones before it."""
    return length + 1 if rate >= 1.0 else float((1 - rate ** (length + 1)) / (1 - rate))
