"""Chain: an owned chain of llama.cpp's samplers, and the links it is made of."""

from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.context import Context


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


def penalties_link(n_vocab: int, last_n: int, repeat: float, frequency: float, presence: float) -> object:
    return C.llama_sampler_init_penalties(n_vocab, last_n, repeat, frequency, presence)


def top_k_link(k: int) -> object:
    return C.llama_sampler_init_top_k(k)


def typical_link(p: float) -> object:
    return C.llama_sampler_init_typical(p, 1)


def top_p_link(p: float) -> object:
    return C.llama_sampler_init_top_p(p, 1)


def min_p_link(p: float) -> object:
    return C.llama_sampler_init_min_p(p, 1)


def temperature_link(temperature: float) -> object:
    return C.llama_sampler_init_temp(temperature)


def draw_link(seed: int) -> object:
    return C.llama_sampler_init_dist(seed)


def greedy_link() -> object:
    return C.llama_sampler_init_greedy()
