"""Placement: in which memory the weights of a model lie, as llama.cpp's parameters. Knows no file."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.devices import Device
from hoshikage.errors import LoadFailed

SPLIT_MODES = {"layer": C.LLAMA_SPLIT_MODE_LAYER, "row": C.LLAMA_SPLIT_MODE_ROW}


@dataclass(frozen=True, slots=True)
class Placement:
    """`n_gpu_layers` -1 = all; `main_gpu` is the one GPU to use, -1 = all, in shares of `tensor_split` where given.

    `repack` lets llama.cpp lay weights out anew for the CPU, in memory of its own. Without `weights` only the header
    and the vocabulary are read.
    """

    n_gpu_layers: int = -1
    use_mmap: bool = True
    mlock: bool = False
    repack: bool = True
    main_gpu: int = -1
    tensor_split: tuple[float, ...] = ()
    split_mode: str = "layer"
    weights: bool = True

    def params(self, gpus: Sequence[Device]) -> C.llama_model_params:
        """Raises LoadFailed where this machine has not the GPUs that are named; without any, it is the CPU's."""
        params = C.llama_model_default_params()
        params.n_gpu_layers = self.n_gpu_layers
        params.load_mode = self._load_mode()
        params.use_extra_bufts, params.vocab_only = self.repack, not self.weights
        if gpus and self.n_gpu_layers:
            self._share(params, len(gpus))
        return params

    def used(self, gpus: Sequence[Device]) -> Sequence[Device]:
        """Those of the machine's GPUs that it uses."""
        if not self.n_gpu_layers:
            return ()
        return gpus if self.main_gpu < 0 else gpus[self.main_gpu : self.main_gpu + 1]

    def _load_mode(self) -> int:
        if self.mlock:
            return int(C.LLAMA_LOAD_MODE_MMAP_MLOCK if self.use_mmap else C.LLAMA_LOAD_MODE_MLOCK)
        return int(C.LLAMA_LOAD_MODE_AUTO if self.use_mmap else C.LLAMA_LOAD_MODE_NONE)

    def _share(self, params: C.llama_model_params, count: int) -> None:
        if self.main_gpu >= count:
            raise LoadFailed(reason=f"MAIN_GPU (main_gpu) is {self.main_gpu}: 0 to {count - 1} are there, -1 = all")
        if self.main_gpu >= 0:
            params.split_mode, params.main_gpu = C.LLAMA_SPLIT_MODE_NONE, self.main_gpu
            return
        params.split_mode = SPLIT_MODES[self.split_mode]
        if len(self.tensor_split) > count:
            raise LoadFailed(reason=f"TENSOR_SPLIT has {len(self.tensor_split)} shares for {count} GPUs")
        if self.tensor_split:
            most = max(count, C.LLAMA_MAX_DEVICES)
            params.tensor_split = (ctypes.c_float * most)(*self.tensor_split)
