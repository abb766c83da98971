"""Context: the KV cache and the decode of one model. Knows positions and sequence ids."""

import ctypes
import re

from hoshikage.engine.llama.batch import Batch
from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.library import last_errors
from hoshikage.engine.llama.model import Model
from hoshikage.errors import LoadFailed, SequenceFailed

NO_SLOT = 1
AT_ONCE = 512
"""Tokens that llama.cpp computes at once."""
CACHE_TYPE = re.compile(r"V cache|cache type")
WAY_OUT = "; KV_TYPE_K=f16 with KV_TYPE_V=f16 fits every model"


class Context:
    """The KV cache and the decode of one model. `slots` sequence ids share `cells` tokens of one unified cache.

    `window` is that of its sliding-window layers in tokens, 0 if it has none; `at_once` is the most that one call may
    have where it must not be computed in parts. Raises LoadFailed if the memory cannot be had.
    """

    def __init__(
        self, model: Model, computing: Computing, *, cells: int, batch: int, slots: int, at_once: int = AT_ONCE
    ) -> None:
        params = computing.params()
        rows = max(batch, slots)  # llama.cpp wants room for an output of each sequence
        params.n_ctx, params.n_batch, params.n_ubatch = max(cells, rows), rows, min(rows, at_once)
        params.n_seq_max, params.kv_unified = slots, True
        last_errors.clear()
        self._model = model
        self.handle = C.llama_init_from_model(model.handle, params)
        if not self.handle:
            reason = "; ".join(last_errors[:3]) or f"no memory for a context of {cells} tokens"
            raise LoadFailed(reason=f"{reason}{WAY_OUT if CACHE_TYPE.search(reason) else ''}")
        model.adapters.apply(self.handle)
        self._memory = C.llama_get_memory(self.handle)
        self.cells = int(C.llama_n_ctx(self.handle))
        self.window = model.window
        self._stateful = model.keeps_state

    def close(self) -> None:
        if self.handle:
            C.llama_free(self.handle)
            self.handle = None

    def decode(self, batch: Batch, *, causal: bool = True) -> bool:
        """Evaluate the batch; False if the KV cache has no room for it. Raises SequenceFailed otherwise.

        Where it is not `causal`, all of it sees all of it.
        """
        if not causal:
            C.llama_set_causal_attn(self.handle, False)
        code = C.llama_decode(self.handle, batch.struct)
        if not causal:
            C.llama_set_causal_attn(self.handle, True)
        if code not in {0, NO_SLOT}:
            raise SequenceFailed(reason=f"llama_decode returned {code}")
        return bool(code == 0)

    def logits(self, row: int) -> bytes:
        """A copy of the logits of batch row `row`: a float32 for each token id."""
        size = ctypes.sizeof(ctypes.c_float) * self._model.n_vocab
        return ctypes.string_at(C.llama_get_logits_ith(self.handle, row), size)

    def cut(self, slot: int, keep: int) -> int:
        """Keep the first `keep` tokens of a sequence; keeps none where that prefix would be wrong."""
        kept = keep if self.holds(slot, keep) else 0
        C.llama_memory_seq_rm(self._memory, slot, kept if kept else -1, -1)
        return kept

    def copy(self, source: int, slot: int, length: int) -> int:
        """Share the first `length` tokens of `source` with the empty `slot`."""
        if not self.holds(source, length):
            return 0
        C.llama_memory_seq_cp(self._memory, source, slot, 0, length)
        return length

    def checkpoint(self, slot: int, scratch: int, position: int) -> None:
        """Put the first `position` tokens of a sequence into the empty sequence `scratch`, to save them."""
        C.llama_memory_seq_cp(self._memory, slot, scratch, 0, position)

    def state_size(self, slot: int, *, partial: bool = False) -> int:
        """Bytes of a sequence's state; `partial`: of its sliding-window layers only."""
        return int(C.llama_state_seq_get_size_ext(self.handle, slot, _flags(partial)))

    def save(self, slot: int, address: int, size: int, *, partial: bool = False) -> None:
        """Write the state to `size` bytes of memory. Raises SequenceFailed if it did not fit."""
        written = C.llama_state_seq_get_data_ext(self.handle, _pointer(address), size, slot, _flags(partial))
        if written != size:
            raise SequenceFailed(reason=f"the state has {written} bytes, {size} were expected")

    def load(self, slot: int, address: int, size: int, *, partial: bool = False) -> bool:
        """Replace a sequence by a saved state; False, and nothing in the sequence, if llama.cpp refuses it."""
        done = size == C.llama_state_seq_set_data_ext(self.handle, _pointer(address), size, slot, _flags(partial))
        if not done:
            C.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return bool(done)

    def trim(self, slot: int, keep: int) -> None:
        """Drop the tokens from `keep` on, though the window of the rest may be gone; a checkpoint brings it back."""
        C.llama_memory_seq_rm(self._memory, slot, keep, -1)

    def holds(self, slot: int, keep: int) -> bool:
        """Whether the cache has all that the first `keep` tokens need.

        The return values of seq_rm and decode do not tell it for sliding windows and recurrent states.
        """
        if keep <= 0 or self._stateful:
            return keep > 0 and keep == C.llama_memory_seq_pos_max(self._memory, slot) + 1
        if not self.window:
            return True
        return bool(0 <= C.llama_memory_seq_pos_min(self._memory, slot) <= max(0, keep - self.window))


def _flags(partial: bool) -> int:
    return int(C.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY if partial else C.LLAMA_STATE_SEQ_FLAGS_NONE)


def _pointer(address: int) -> object:
    return ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8))
