"""The prefix index over resident sequences: which of them a new prompt can share, and which to evict. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from hoshikage.engine.exact import COLD, Shape

BLOCK = 256
ALIKE = 16
"""Tokens from which on two prompts are said to begin alike; a BOS and a role do not make them so."""


class Reuse(StrEnum):
    """Where the cached tokens of a prompt came from, or why there are none."""

    HIT_RAM = "hit_ram"
    """A sequence in the KV cache."""
    HIT_SNAPSHOT = "hit_snapshot"
    """A snapshot on the RAM disk."""
    HIT_DISK = "hit_disk"
    """A snapshot in the home."""
    MISS_PREFIX = "miss_prefix"
    """Nothing begins like this prompt."""
    MISS_OWNER = "miss_owner"
    """Only sequences of another owner begin like it."""
    MISS_SWA = "miss_swa"
    """The sliding window has lost what the shared prefix needs."""


def common_prefix(a: list[int], b: list[int]) -> int:
    """How many leading tokens are equal. Compares blocks, then halves the block in which they part."""
    end = min(len(a), len(b))
    start = 0
    while start + BLOCK <= end and a[start : start + BLOCK] == b[start : start + BLOCK]:
        start += BLOCK
    size = min(BLOCK, end - start)
    while size:
        if a[start : start + size] == b[start : start + size]:
            start += size
            size = min(size, end - start)
        else:
            size //= 2
    return start


@dataclass(slots=True, eq=False)
class Resident:
    """Tokens in the KV cache under sequence id `slot`. A busy one belongs to a running sequence and grows.

    Only the first `n_past` of `tokens` are in the cache. With `saved` of them it was last offered to the snapshots, and
    `stored` tells whether they took it. `marks` are the positions
    at which turns ended, in order, `shape` is how its tokens were evaluated. `used_at` is the step in which it was
    last needed.
    """

    slot: int
    owner: str
    tokens: list[int]
    n_past: int
    busy: bool
    used_at: int
    saved: int = 0
    stored: bool = False
    marks: list[int] = field(default_factory=list)
    shape: Shape = COLD


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot under `key` whose first `length` tokens are those of the prompt and can be restored.

    It takes `cells` cells while it is restored. `token_length` is how much of the prompt it begins like, usable or not.
    """

    key: str
    length: int
    cells: int
    token_length: int
    tier: Reuse


@dataclass(frozen=True, slots=True)
class Match:
    """`length` leading tokens of the prompt are those of `resident`."""

    resident: Resident
    length: int


Usable = Callable[[Resident, int], bool]


def best_match(residents: Iterable[Resident], owner: str, tokens: list[int], usable: Usable) -> Match | None:
    """The longest shared prefix inside one owner, or None; of equal ones an idle resident, then the shorter one.

    At least one token of the prompt is left to be evaluated, since its logits are needed.
    """
    best: Match | None = None
    for resident in residents:
        if resident.owner != owner:
            continue
        length = shared_length(resident, tokens)
        better = length > 0 and (best is None or _rank(resident, length) > _rank(best.resident, best.length))
        if better and usable(resident, length):
            best = Match(resident, length)
    return best


def shared_length(resident: Resident, tokens: list[int]) -> int:
    """How much of the prompt is in the cache already, but for its last token."""
    return min(common_prefix(resident.tokens, tokens), resident.n_past, len(tokens) - 1)


def _rank(resident: Resident, length: int) -> tuple[int, bool, int]:
    return (length, not resident.busy, -resident.n_past)


def eviction_order(residents: Iterable[Resident]) -> list[Resident]:
    """The idle residents, the longest unused first."""
    return sorted((r for r in residents if not r.busy), key=lambda r: r.used_at)
