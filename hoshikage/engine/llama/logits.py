"""The logits of one batch row, as llama.cpp's samplers will read them."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.context import Context


def allow_only(context: Context, row: int, mask: NDArray[np.int32], n_vocab: int) -> None:
    """Give tokens whose bit in `mask` is 0 the logit of minus infinity, in place."""
    first = C.llama_get_logits_ith(context.handle, row)
    keep_only(np.ctypeslib.as_array((ctypes.c_float * n_vocab).from_address(ctypes.addressof(first.contents))), mask)


def keep_only(logits: NDArray[np.float32], mask: NDArray[np.int32]) -> None:
    """The bits of `mask` stand for the tokens from 0 on, lowest first."""
    allowed = np.unpackbits(mask.view(np.uint8), count=len(logits), bitorder="little")
    np.copyto(logits, -np.inf, where=allowed == 0)
