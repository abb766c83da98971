"""Which weights llama.cpp lays out anew for the CPU ("repacking"), how many bytes that takes beside the file, and
whether it is worth them. Knows tensors, no process.

The types are those of `ggml_repack_get_optimal_repack_type` and of the AMX buffers in llama.cpp of mid-2026.
"""

import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hoshikage.engine.build import WITHOUT_AMX, installed_build, processor
from hoshikage.engine.wire import Load
from hoshikage.errors import HoshikageError
from hoshikage.models.gguf import Tensor
from hoshikage.models.headers import header_of
from hoshikage.models.shards import shards
from hoshikage.ramdisk.memory import Memory

X86_ROWS = {"avx2": {"Q4_0": 8, "Q4_K": 8, "IQ4_NL": 8, "MXFP4": 8}, "avx512f": {"Q2_K": 8}}
ARM_ROWS = {"Q4_0": 4, "IQ4_NL": 4, "MXFP4": 4, "Q8_0": 4, "Q1_0": 4, "Q4_K": 8, "Q5_K": 8, "Q6_K": 8}
AMX_ROWS = dict.fromkeys(("Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"), 32)
"""By CPU flag: the types that are repacked, and of how many rows a tensor must have a whole multiple."""
FEWEST_FIT = 2
"""So often the weights must fit into half of the free memory."""
LOOKED_UP = ("token_embd.weight", "position_embd.weight", "token_types.weight")
"""Tables from which rows are read; only what is multiplied is repacked."""
OUTPUT = "output.weight"


def repackable(tensors: Sequence[Tensor], flags: Collection[str] | None = None) -> int:
    """Bytes that repacking takes on a CPU with these flags (None = this one), all layers being computed there."""
    rows = rows_of(cpu_flags() if flags is None else flags)
    return sum(tensor.size for tensor in multiplied(tensors) if _fits(tensor, rows))


def repacks(mode: str, weights_bytes: int, free_bytes: int) -> bool:
    """Whether to repack: `mode` is CPU_REPACK's on, off or auto."""
    if mode == "auto":
        return FEWEST_FIT * weights_bytes <= free_bytes // 2
    return mode == "on"


def worth_repacking(load: Load, mode: str) -> bool:
    """Whether the CPU's weights are to be laid out anew, by CPU_REPACK and the memory that is free now; as asked where
    the files cannot be read, which the engine will say."""
    try:
        weights = sum(file.stat().st_size for file in shards(Path(load.path), header_of(Path(load.path))))
    except (HoshikageError, OSError):
        return load.repack
    return repacks(mode, weights, Memory().available())


def multiplied(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The matrices of its layers; a token table that serves as the output too, for want of one, is one of them."""
    named = {tensor.name for tensor in tensors}
    looked_up = LOOKED_UP if OUTPUT in named else LOOKED_UP[1:]
    return [each for each in tensors if len(each.shape) > 1 and each.name not in looked_up]


def rows_of(flags: Collection[str]) -> Mapping[str, int]:
    """The types that are repacked with these flags of a CPU, as in /proc/cpuinfo."""
    if "asimddp" in flags:
        return ARM_ROWS
    found = {kind: rows for flag, types in X86_ROWS.items() if flag in flags for kind, rows in types.items()}
    return {**AMX_ROWS, **found} if "amx_int8" in flags else found


def cpu_flags() -> frozenset[str]:
    """Those of this machine that llama.cpp is compiled for. Apple's chips all have what counts here."""
    if platform.machine() == "arm64" and platform.system() == "Darwin":
        return frozenset({"asimddp"})
    flags, built = frozenset(processor().split()), installed_build()
    return flags - {"amx_int8"} if built and WITHOUT_AMX in built.cmake_args else flags


def _fits(tensor: Tensor, rows: Mapping[str, int]) -> bool:
    return tensor.type_name in rows and tensor.shape[1] % rows[tensor.type_name] == 0
