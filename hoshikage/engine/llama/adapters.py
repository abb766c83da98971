"""Adapters: the LoRA files (arXiv:2106.09685) that change one model in all its contexts. Knows no context's use."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.library import last_errors
from hoshikage.errors import LoadFailed

SCALE = 1.0
"""On top of alpha / rank, which is in the file."""


class Adapters:
    """LoRA files loaded for one model, which frees them. To be made before the model's contexts, which reserve room.

    Raises LoadFailed with the file's name and llama.cpp's own words.
    """

    def __init__(self, model: ctypes.c_void_p, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self._handles = [_loaded(model, path) for path in files]

    def apply(self, context: ctypes.c_void_p) -> None:
        """Let a context evaluate with all of them. Raises LoadFailed."""
        count = len(self._handles)
        handles = (C.llama_adapter_lora_p_ctypes * count)(*self._handles)
        if count and C.llama_set_adapters_lora(context, handles, count, (ctypes.c_float * count)(*[SCALE] * count)):
            raise LoadFailed(reason="llama.cpp does not apply the adapters " + ", ".join(map(str, self.files)))


def _loaded(model: ctypes.c_void_p, path: Path) -> object:
    last_errors.clear()
    handle = C.llama_adapter_lora_init(model, str(path).encode())
    if not handle:
        raise LoadFailed(reason=f"adapter {path}: {'; '.join(last_errors[:3]) or 'llama.cpp gave no reason'}")
    if C.llama_adapter_get_alora_n_invocation_tokens(handle):
        raise LoadFailed(reason=f"adapter {path}: it is to be activated by words of the prompt, which is not supported")
    return handle
