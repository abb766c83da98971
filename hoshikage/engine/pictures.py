"""Images in a sequence: the positions they take, and the numbers that stand for them among its tokens. Pure.

These numbers are negative, as no token is, and come from the image's sha256: so the prefix index and the snapshots tell
images apart as they do texts.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

BITS = 31
"""A number of a position is -1 - n with n below 2**BITS, so an int32."""


class Piece(Protocol):
    """An image or a slice of it, as the projector prepared it."""

    @property
    def id(self) -> str: ...
    @property
    def length(self) -> int: ...


@dataclass(slots=True, eq=False)
class Picture:
    """The positions from `start` to `end` of a sequence are `piece`; `rows` is what it was encoded to.

    A `whole` one is evaluated in one call, since its positions see each other. `failure` tells why it has no rows.
    """

    start: int
    piece: Piece
    whole: bool
    rows: object | None = None
    failure: str = ""

    @property
    def end(self) -> int:
        return self.start + self.piece.length


def laid_out(
    parts: Iterable[list[int] | Piece], context: Iterable[int], *, whole: bool
) -> tuple[list[int], tuple[Picture, ...]]:
    """`context` and the parts behind it as the tokens of one sequence, and the pictures in it."""
    tokens, pictures = list(context), list[Picture]()
    for part in parts:
        if isinstance(part, list):
            tokens += part
        else:
            pictures.append(Picture(len(tokens), part, whole))
            tokens += numbers(f"{part.id} {len(pictures)}", part.length)
    return tokens, tuple(pictures)


def numbers(key: str, count: int) -> list[int]:
    data = hashlib.shake_256(key.encode()).digest(4 * count)
    words = (int.from_bytes(data[at : at + 4], "little") for at in range(0, 4 * count, 4))
    return [-1 - (word >> (32 - BITS)) for word in words]


def without(tokens: Iterable[int]) -> list[int]:
    """The tokens alone."""
    return [token for token in tokens if token >= 0]


def boundary(pictures: Iterable[Picture], length: int) -> int:
    """The most leading positions up to `length` that cut no picture."""
    return next((each.start for each in pictures if each.start < length < each.end), length)
