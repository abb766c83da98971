"""The prefix index over resident sequences: which of them a new prompt can share, and which to evict. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

BLOCK = 256


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

    Only the first `n_past` of `tokens` are in the cache. `used_at` is the step in which it was last needed.
    """

    slot: int
    owner: str
    tokens: list[int]
    n_past: int
    busy: bool
    used_at: int


@dataclass(frozen=True, slots=True)
class Match:
    """`length` leading tokens of the prompt are those of `resident`."""

    resident: Resident
    length: int


def best_match(residents: Iterable[Resident], owner: str, tokens: list[int]) -> Match | None:
    """The longest shared prefix inside one owner, or None; of equal ones an idle resident, then the shorter one.

    At least one token of the prompt is left to be evaluated, since its logits are needed.
    """
    best: Match | None = None
    for resident in residents:
        if resident.owner != owner:
            continue
        length = min(common_prefix(resident.tokens, tokens), resident.n_past, len(tokens) - 1)
        if length > 0 and (best is None or _rank(resident, length) > _rank(best.resident, best.length)):
            best = Match(resident, length)
    return best


def _rank(resident: Resident, length: int) -> tuple[int, bool, int]:
    return (length, not resident.busy, -resident.n_past)


def eviction_order(residents: Iterable[Resident]) -> list[Resident]:
    """The idle residents, the longest unused first."""
    return sorted((r for r in residents if not r.busy), key=lambda r: r.used_at)
