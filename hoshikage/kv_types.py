"""What a KV cache takes: the types of its keys and values with their bytes, and its first size. Knows no model.

Numbers and blocks are ggml's; the choice is llama.cpp's own (`--cache-type-k` and `-v`).
"""

from typing import NamedTuple

FIRST_CELLS = 8192
"""Tokens that a KV cache has room for at the start; it doubles on need."""


class KvType(NamedTuple):
    """ggml's number of the type; so many values make a block of so many bytes."""

    number: int
    block: int
    bytes: int

    @property
    def quantized(self) -> bool:
        return self.block > 1


KV_TYPES = {
    "f32": KvType(0, 1, 4),
    "f16": KvType(1, 1, 2),
    "bf16": KvType(30, 1, 2),
    "q8_0": KvType(8, 32, 34),
    "q5_1": KvType(7, 32, 24),
    "q5_0": KvType(6, 32, 22),
    "q4_1": KvType(3, 32, 20),
    "q4_0": KvType(2, 32, 18),
    "iq4_nl": KvType(20, 32, 18),
}


def row_bytes(kind: str, values: int) -> int:
    """Bytes of a row of so many values in the type of that name; a last block that is not full counts whole."""
    _, block, size = KV_TYPES[kind]
    return -(-values // block) * size
