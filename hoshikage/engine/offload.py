"""How much of a model goes to the GPU when memory is short there. Pure: knows neither llama.cpp nor a GPU."""

import re
from collections.abc import Sequence

KV_SHARE = 4
"""A quarter of the free memory may become KV cache, where KV_MEMORY_GB leaves it open."""

_FAILED = re.compile(
    r"out of memory|OutOfDeviceMemory|can't allocate .* on device|(unable|failed) to allocate", re.IGNORECASE
)
_IN_RAM = re.compile(r"allocate CPU\w* buffer|insufficient memory \(attempted|OutOfHostMemory|on host", re.IGNORECASE)


def out_of_vram(errors: Sequence[str]) -> bool:
    """Whether llama.cpp's error lines of a load say that a GPU's memory did not suffice.

    As CUDA, HIP and MUSA (`cudaMalloc failed: out of memory`), Metal, Vulkan (`ErrorOutOfDeviceMemory`), SYCL and
    ggml-alloc (`failed to allocate CUDA0 buffer`) put it; where the CPU's own memory is named, it was the RAM.
    """
    return any(map(_FAILED.search, errors)) and not any(map(_IN_RAM.search, errors))


def placed(asked: int, layers: int) -> int:
    """How many of `layers` + 1 go to the GPU, the last one being the output; `asked` -1 = all."""
    return layers + 1 if asked < 0 else min(asked, layers + 1)


def fewer_layers(asked: int, layers: int, *, weights_bytes: int, free_bytes: int) -> int:
    """With how many layers on the GPU to try again, less than before and 0 or more.

    So many as fit into the free memory with the KV cache's share left over, if both sizes are known; else half.
    """
    before = placed(asked, layers)
    each = weights_bytes // (layers + 1)
    fits = (free_bytes - free_bytes // KV_SHARE) // each if each and free_bytes else before
    return max(0, fits if fits < before else before // 2)


def kv_cells(kv_bytes: int, gpu_share: float, *, free_vram: int, free_ram: int) -> int:
    """Tokens of KV cache at `kv_bytes` a token that take a quarter of the memory they lie in: `gpu_share` of each
    token's in the GPU's, the rest in RAM."""
    parts = ((gpu_share, free_vram), (1 - gpu_share, free_ram))
    return min(int(free // KV_SHARE / (share * max(1, kv_bytes))) for share, free in parts if share > 0)
