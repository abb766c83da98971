"""The logits of one batch row, as llama.cpp's samplers will read them."""

import ctypes

from hoshikage.engine.llama.binding import C
import numpy as np
from numpy.typing import NDArray

from hoshikage.engine.llama.context import Context


def forbid(context: Context, row: int, forbidden: NDArray[np.bool_]) -> None:
    """Give the tokens where `forbidden` (one flag a token) the logit of minus infinity, in place."""
    first = C.llama_get_logits_ith(context.handle, row)
    row_type = ctypes.c_float * len(forbidden)
    logits = np.ctypeslib.as_array(row_type.from_address(ctypes.addressof(first.contents)))
    np.copyto(logits, -np.inf, where=forbidden)
