"""Batch: the tokens of one decode call."""

import ctypes
from dataclasses import dataclass

from hoshikage.engine.llama.binding import C


@dataclass(frozen=True, slots=True)
class Rows:
    """What stands at a model's input in place of tokens: `width` values for each position."""

    values: "ctypes.Array[ctypes.c_float]"
    width: int

    def at(self, index: int) -> "ctypes._Pointer[ctypes.c_float]":
        address = ctypes.addressof(self.values) + index * self.width * ctypes.sizeof(ctypes.c_float)
        return ctypes.cast(address, ctypes.POINTER(ctypes.c_float))


class Batch:
    """Room for `size` tokens, each of one sequence; filled by add() and add_many(), emptied by clear().

    put_rows() fills it with rows instead, which must live until it is decoded.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._tokens = (ctypes.c_int32 * size)()
        self._positions = (ctypes.c_int32 * size)()
        self._counts = (ctypes.c_int32 * size)(*([1] * size))
        self._slots = (ctypes.c_int32 * size)()
        self._outputs = (ctypes.c_int8 * size)()
        pointer = ctypes.POINTER(ctypes.c_int32)
        base, step = ctypes.addressof(self._slots), ctypes.sizeof(ctypes.c_int32)
        self._slot_pointers = (pointer * size)(*(ctypes.cast(base + i * step, pointer) for i in range(size)))
        self.struct = C.llama_batch(
            n_tokens=0,
            token=self._tokens,
            embd=None,
            pos=self._positions,
            n_seq_id=self._counts,
            seq_id=self._slot_pointers,
            logits=self._outputs,
        )
        self.length = 0

    def clear(self) -> None:
        self.length = self.struct.n_tokens = 0
        if self.struct.embd:
            self.struct.token, self.struct.embd = self._tokens, None

    def add(self, token: int, position: int, slot: int) -> int:
        """One token whose logits are wanted. Returns its row in the batch."""
        row = self.length
        self._tokens[row], self._positions[row], self._slots[row], self._outputs[row] = token, position, slot, 1
        self.length = self.struct.n_tokens = row + 1
        return row

    def add_many(self, tokens: list[int], position: int, slot: int, *, outputs: int) -> int:
        """Tokens from `position` on; the last `outputs` have their logits computed. Returns the first such row."""
        start, count = self.length, len(tokens)
        self._tokens[start : start + count] = [*tokens]
        return self._place(count, position, slot, outputs)

    def put_rows(self, rows: Rows, first: int, count: int, position: int, slot: int, *, outputs: int) -> int:
        """`count` of the rows from `first` on, in an empty batch, as add_many()."""
        self.struct.token, self.struct.embd = None, rows.at(first)
        return self._place(count, position, slot, outputs)

    def _place(self, count: int, position: int, slot: int, outputs: int) -> int:
        start, end = self.length, self.length + count
        self._positions[start:end] = [*range(position, position + count)]
        self._slots[start:end] = [slot] * count
        self._outputs[start:end] = [*([0] * (count - outputs)), *([1] * outputs)]
        self.length = self.struct.n_tokens = end
        return end - outputs
