"""llama.cpp's real samplers on made-up logits, without a model."""

import ctypes
from collections import Counter
from dataclasses import dataclass, field

from msgspec.structs import replace

from hoshikage.engine import sampler
from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.chain import Chain
from hoshikage.sampling import SamplingOptions


@dataclass
class Words:
    """A vocabulary without a model."""

    n_vocab: int
    vocab: object = None
    trained: int = 1000
    suppressed: list[int] = field(default_factory=list)
    ending: list[int] = field(default_factory=list)


def apply(chain: Chain, logits: list[float]) -> int:
    """The token that the chain draws from the logits; it is accepted, too."""
    size = len(logits)
    data = (C.llama_token_data * size)(*(C.llama_token_data(i, logit, 0.0) for i, logit in enumerate(logits)))
    array = C.llama_token_data_array(data, size, -1, False)
    C.llama_sampler_apply(chain.handle, ctypes.byref(array))
    token = int(array.data[array.selected].id)
    chain.accept([token])
    return token


def drawn(
    options: SamplingOptions, logits: list[float], *, before: list[int], words: Words, times: int
) -> Counter[int]:
    """How often each token was drawn. Each draw follows `before` and has a seed of its own: 0, 1, 2…"""
    found: Counter[int] = Counter()
    for start in range(times):
        chain = sampler.chain(replace(options, seed=start), words)
        chain.accept(before)
        found[apply(chain, logits)] += 1
        chain.close()
    return found
