"""One request's life as the scheduler sees it: its tokens, its counts, its state. Knows no text."""

from dataclasses import dataclass, field
from enum import Enum

from hoshikage.engine.pictures import Picture, boundary
from hoshikage.engine.prefix import Reuse


class State(Enum):
    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    DONE = "done"


@dataclass(slots=True, eq=False)
class Sequence:
    """`tokens` is prompt and answer; the first `n_past` of them are in the KV cache under sequence id `slot`.

    `limit` is the most tokens it may ever have, `max_tokens` the most it may generate (-1 = up to the limit).
    `pictures` are the images among its tokens, in order. `exact`: equal prompts must give equal logits, cold or cached
    (engine/exact.py).
    `n_cached` and `reuse` tell what of the prompt was there when it was first admitted, and from where.
    """

    id: int
    owner: str
    tokens: list[int]
    limit: int
    max_tokens: int = -1
    exact: bool = False
    state: State = State.WAITING
    slot: int = -1
    n_past: int = 0
    n_prompt: int = field(init=False)
    n_cached: int = 0
    n_evaluated: int = 0
    reuse: Reuse = Reuse.MISS_PREFIX
    admitted: bool = False
    overtaken: int = 0
    pictures: tuple[Picture, ...] = ()

    def __post_init__(self) -> None:
        self.n_prompt = len(self.tokens)

    @property
    def n_generated(self) -> int:
        return len(self.tokens) - self.n_prompt

    @property
    def pending(self) -> int:
        """How many of its tokens are not in the KV cache yet."""
        return len(self.tokens) - self.n_past

    @property
    def ahead(self) -> Picture | None:
        """The first picture that is not whole in the KV cache yet; its positions may be next."""
        return next((each for each in self.pictures if each.end > self.n_past), None)

    def boundary(self, length: int) -> int:
        """The most leading tokens up to `length` that may be cut off from the rest."""
        return boundary(self.pictures, length)

    @property
    def remaining(self) -> int:
        """How many tokens it may still generate."""
        room = self.limit - len(self.tokens)
        return room if self.max_tokens < 0 else min(room, self.max_tokens - self.n_generated)

    @property
    def full(self) -> bool:
        """Whether it must not generate another token."""
        return self.remaining <= 0
