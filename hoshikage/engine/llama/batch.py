"""Batch: the tokens of one decode call."""

import ctypes

from hoshikage.engine.llama.binding import C


class Batch:
    """Room for `size` tokens, each of one sequence; filled by add() and add_many(), emptied by clear()."""

    def __init__(self, size: int) -> None:
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

    def add(self, token: int, position: int, slot: int) -> int:
        """One token whose logits are wanted. Returns its row in the batch."""
        row = self.length
        self._tokens[row], self._positions[row], self._slots[row], self._outputs[row] = token, position, slot, 1
        self.length = self.struct.n_tokens = row + 1
        return row

    def add_many(self, tokens: list[int], position: int, slot: int, *, outputs: int) -> int:
        """Tokens from `position` on; the last `outputs` have their logits computed. Returns the first such row."""
        start, count = self.length, len(tokens)
        end = start + count
        self._tokens[start:end] = [*tokens]
        self._positions[start:end] = [*range(position, position + count)]
        self._slots[start:end] = [slot] * count
        self._outputs[start:end] = [*([0] * (count - outputs)), *([1] * outputs)]
        self.length = self.struct.n_tokens = end
        return end - outputs
