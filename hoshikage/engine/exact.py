"""How a seeded request's prompt is evaluated, so that its logits are the same to the bit, cold or cached. Pure.

llama.cpp rounds differently for different batch shapes (attention over 64 and more tokens at once is computed in tiles,
over one token in another way), so equal logits need equal shapes: the prompt goes in chunks that end at multiples of
the batch size, then the rest but one, then the last token alone. A cached prefix counts only as far as it was evaluated
in just these chunks. What another prompt or an answer left behind was not.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """How the tokens of a resident sequence were evaluated: `grid` of them in whole chunks of the batch size, those
    up to `head` in one chunk after them (0 if it was not so), and what follows in any other way."""

    grid: int = 0
    head: int = 0

    def after(self, start: int, length: int, batch: int) -> "Shape":
        """The shape once a chunk of `length` tokens from `start` on was evaluated, alone in its batch."""
        if start != self.grid or self.head:
            return self
        return Shape(start + length) if length == batch else Shape(start, start + length)

    def cut(self, keep: int, batch: int) -> "Shape":
        """The shape of the first `keep` tokens."""
        return Shape(min(self.grid, keep // batch * batch), self.head if self.head <= keep else 0)


COLD = Shape()
"""Nothing is evaluated yet."""


def chunk(n_past: int, n_tokens: int, batch: int) -> int:
    """How many tokens come next of a prompt of `n_tokens`, of which `n_past` are evaluated."""
    if n_past >= n_tokens - 1:
        return n_tokens - n_past
    return min((n_past // batch + 1) * batch, n_tokens - 1) - n_past


def reusable(shared: int, shape: Shape, n_tokens: int, batch: int) -> int:
    """How many of `shared` leading tokens a prompt of `n_tokens` may take from a resident of that shape."""
    if shape.head == n_tokens - 1 <= shared:
        return n_tokens - 1
    return min(shared, shape.grid, n_tokens - 1) // batch * batch
