"""Chain: an owned chain of llama.cpp's samplers, and the links it is made of."""

import ctypes

from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.context import Context

MIROSTAT_CANDIDATES = 100
"""From how many tokens Mirostat 1 estimates the slope of the distribution: the paper's and llama.cpp's number."""


class Chain:
    """Owns a sampler chain made of `links`, and is their owner too."""

    def __init__(self, links: list[object]) -> None:
        params = C.llama_sampler_chain_default_params()
        params.no_perf = True
        self.handle = C.llama_sampler_chain_init(params)
        for link in links:
            C.llama_sampler_chain_add(self.handle, link)

    def sample(self, context: Context, row: int) -> int:
        """Draw a token from the logits of batch row `row`, and remember it for the penalties."""
        token: int = C.llama_sampler_sample(self.handle, context.handle, row)
        return token

    def accept(self, tokens: list[int]) -> None:
        """Let the penalties see tokens that were not sampled here: the prompt."""
        for token in tokens:
            C.llama_sampler_accept(self.handle, token)

    def close(self) -> None:
        if self.handle:
            C.llama_sampler_free(self.handle)
            self.handle = None


def bias_link(n_vocab: int, biases: list[tuple[int, float]]) -> object:
    """`biases` are pairs of a token id below `n_vocab` and what its logit gains."""
    array = (C.llama_logit_bias * len(biases))(*(C.llama_logit_bias(*pair) for pair in biases))
    return C.llama_sampler_init_logit_bias(n_vocab, len(biases), array)


def penalties_link(n_vocab: int, last_n: int, repeat: float, frequency: float, presence: float) -> object:
    return C.llama_sampler_init_penalties(n_vocab, last_n, repeat, frequency, presence)


def dry_link(
    vocab: object, multiplier: float, base: float, allowed: int, last_n: int, breakers: tuple[str, ...]
) -> object:
    texts = (ctypes.c_char_p * len(breakers))(*(text.encode("utf-8", "replace") for text in breakers))
    return C.llama_sampler_init_dry(vocab, multiplier, base, allowed, last_n, texts, len(breakers))


def top_n_sigma_link(n: float) -> object:
    return C.llama_sampler_init_top_n_sigma(n)


def top_k_link(k: int) -> object:
    return C.llama_sampler_init_top_k(k)


def typical_link(p: float, min_keep: int) -> object:
    return C.llama_sampler_init_typical(p, min_keep)


def top_p_link(p: float, min_keep: int) -> object:
    return C.llama_sampler_init_top_p(p, min_keep)


def min_p_link(p: float, min_keep: int) -> object:
    return C.llama_sampler_init_min_p(p, min_keep)


def xtc_link(probability: float, threshold: float, min_keep: int, seed: int) -> object:
    return C.llama_sampler_init_xtc(probability, threshold, min_keep, seed)


def temperature_link(temperature: float, spread: float, exponent: float) -> object:
    return C.llama_sampler_init_temp_ext(temperature, spread, exponent)


def mirostat_link(version: int, n_vocab: int, seed: int, tau: float, eta: float) -> object:
    if version == 1:
        return C.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, MIROSTAT_CANDIDATES)
    return C.llama_sampler_init_mirostat_v2(seed, tau, eta)


def adaptive_link(target: float, decay: float, seed: int) -> object:
    return C.llama_sampler_init_adaptive_p(target, decay, seed)


def draw_link(seed: int) -> object:
    return C.llama_sampler_init_dist(seed)


def greedy_link() -> object:
    return C.llama_sampler_init_greedy()
