"""What llama.cpp takes for granted in a header and would end its process over; found by giving it damaged files.

What it refuses with a word of its own is left to it. Knows no file and nothing of its layout.
"""

import re
from collections.abc import Mapping

from hoshikage.models.ggml_types import TENSOR_TYPES

LAYERS_MAX, EXPERTS_MAX = 512, 1024
"""LLAMA_MAX_LAYERS and LLAMA_MAX_EXPERTS."""
MAPPED_ALIGNMENT = 32
"""ggml's TENSOR_ALIGNMENT, of mapped weights."""
EPSILONS = ("layer_norm_rms_epsilon", "layer_norm_epsilon", "group_norm_epsilon")
FLOATS = frozenset(("F32", "F16", "BF16"))
NUMBERS = frozenset(("I8", "I16", "I32", "I64", "F64"))
_FACTOR = re.compile(
    r"(?:.*\.)?(?:token_embd|output|attn_(?:q|k|v|qkv|output)|ffn_(?:up|down|gate)(?:_exps|_shexp)?)\.weight"
)
_NORM = re.compile(r".*norm\.weight")


def fault(metadata: Mapping[str, object]) -> str | None:
    """Why llama.cpp would abort over these keys; None if it would not."""
    architecture = metadata.get("general.architecture")
    layers = metadata.get(f"{architecture}.block_count")
    if isinstance(layers, int) and not 0 < layers <= LAYERS_MAX:
        return f"{architecture}.block_count is {layers}, not 1 to {LAYERS_MAX}"
    for name in EPSILONS:
        epsilon = metadata.get(f"{architecture}.attention.{name}")
        if isinstance(epsilon, float) and not epsilon >= 0:
            return f"{architecture}.attention.{name} is {epsilon}"
    return experts_fault(metadata, f"{architecture}.expert")


def experts_fault(metadata: Mapping[str, object], prefix: str) -> str | None:
    """Of all experts some are used in each layer; of none, none."""
    count, used = metadata.get(f"{prefix}_count", 0), metadata.get(f"{prefix}_used_count", 0)
    most = max((each for each in used if isinstance(each, int)), default=0) if isinstance(used, list) else used
    if not isinstance(count, int) or not isinstance(most, int):
        return None
    if count > EXPERTS_MAX or not min(count, 1) <= most <= count:
        return f"{prefix}_used_count is {used} of {count} experts"
    return None


def type_fault(name: str, kind: int) -> str | None:
    """Why llama.cpp would abort over a tensor of this type; None if it would not."""
    kind_name = TENSOR_TYPES[kind][0]
    odd = kind_name in NUMBERS if _FACTOR.fullmatch(name) else _NORM.fullmatch(name) and kind_name not in FLOATS
    return f"tensor {name} has the type {kind_name}, which cannot be computed with" if odd else None
