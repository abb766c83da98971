"""Which tokens of many inputs are evaluated in which call, and what becomes of a vector. Pure."""

import math
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from hoshikage.errors import RequestError

PACK_TOKENS = 256
"""Inputs that fit together into so many tokens go in one call. Measured with MiniLM on one core, inputs of n tokens, a
call each against all in one: 32 of 6: 1.7 times faster together, 8 of 60: 1.8, 2 of 120: equal, 8 of 120: slower by 13
percent, 8 of 250: by a third, since every token of a call is compared with every other, its own input's or not."""
SEQUENCES = 64
"""Most inputs in one call, of a model whose sequences cost no memory of their own."""


class Part(NamedTuple):
    """Tokens of input `number` from `position` on."""

    number: int
    position: int
    tokens: list[int]


class Packer:
    """Hands out the parts of `inputs` in order, call by call."""

    def __init__(self, inputs: Sequence[list[int]]) -> None:
        self._inputs = inputs
        self._index = 0
        self._position = 0

    @property
    def inside(self) -> bool:
        """Whether an input has been handed out in part."""
        return self._position > 0

    @property
    def done(self) -> bool:
        return self._index == len(self._inputs)

    def call(self, most: int, sequences: int, *, chunked: bool) -> list[Part]:
        """The next call: `most` tokens of a longer input if `chunked`, otherwise up to `sequences` whole inputs."""
        if self.inside or (chunked and len(self._inputs[self._index]) > most):
            return [self._chunk(most)]
        parts = [self._whole()]
        room = min(most, PACK_TOKENS) - len(parts[0].tokens)
        while not self.done and len(self._inputs[self._index]) <= room and len(parts) < sequences:
            parts.append(self._whole())
            room -= len(parts[-1].tokens)
        return parts

    def complete(self, part: Part) -> bool:
        """Whether the part is the last of its input."""
        return part.position + len(part.tokens) == len(self._inputs[part.number])

    def _whole(self) -> Part:
        self._index += 1
        return Part(self._index - 1, 0, self._inputs[self._index - 1])

    def _chunk(self, most: int) -> Part:
        tokens = self._inputs[self._index]
        part = Part(self._index, self._position, tokens[self._position : self._position + most])
        self._position += len(part.tokens)
        if self._position == len(tokens):
            self._index, self._position = self._index + 1, 0
        return part


def finished(vector: "array[float]", dimensions: int, *, normalise: bool) -> "array[float]":
    """Cut to `dimensions`, if it has more, and of length 1. Raises RequestError for NaN and infinity."""
    if not all(map(math.isfinite, vector)):
        raise RequestError(reason="embedding contains NaN or Inf values")
    if 0 < dimensions < len(vector):
        vector = vector[:dimensions]
    length = math.hypot(*vector) if normalise else 0.0
    return array("f", (value / length for value in vector)) if length else vector
