"""Computing: how a context computes, as llama.cpp's parameters. Knows no model."""

from dataclasses import dataclass

from hoshikage.engine.llama.binding import C
from hoshikage.kv_types import KV_TYPES

FLASH = {
    "auto": C.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": C.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": C.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


@dataclass(frozen=True, slots=True)
class Computing:
    """`threads_batch` is for calls of more than one token, 0 = as `threads`; the types are those of the KV cache."""

    threads: int
    threads_batch: int = 0
    flash: str = "auto"
    type_k: str = "f16"
    type_v: str = "f16"

    def params(self) -> C.llama_context_params:
        params = C.llama_context_default_params()
        params.n_threads, params.n_threads_batch = self.threads, self.threads_batch or self.threads
        params.flash_attn_type = FLASH[self.flash]
        params.type_k, params.type_v = KV_TYPES[self.type_k].number, KV_TYPES[self.type_v].number
        params.no_perf = True
        return params

    @property
    def plain(self) -> "Computing":
        """The same with an f16 cache, which every model takes."""
        return Computing(self.threads, self.threads_batch, self.flash)
