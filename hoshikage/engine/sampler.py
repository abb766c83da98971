"""Option -> link of llama.cpp's sampler chain, in llama.cpp's own order. Knows options, no requests."""

import secrets
from collections.abc import Callable

from hoshikage.engine.llama import chain as links
from hoshikage.engine.llama.chain import Chain
from hoshikage.engine.llama.model import Model
from hoshikage.sampling import SamplingOptions

RANDOM_SEED = 0xFFFFFFFF
"""llama.cpp's value for "draw a new seed"; a user's seed must not land on it."""

Links = list[object]


def penalties(o: SamplingOptions, model: Model) -> Links:
    last = model.trained if o.repeat_last_n < 0 else min(o.repeat_last_n, model.trained)
    neutral = o.repeat_penalty == 1.0 and o.presence_penalty == 0.0 and o.frequency_penalty == 0.0
    if neutral or last == 0:
        return []
    return [links.penalties_link(model.n_vocab, last, o.repeat_penalty, o.frequency_penalty, o.presence_penalty)]


def top_k(o: SamplingOptions, _model: Model) -> Links:
    return [links.top_k_link(o.top_k)] if o.top_k > 0 else []


def typical(o: SamplingOptions, _model: Model) -> Links:
    return [links.typical_link(o.typical_p)] if o.typical_p < 1.0 else []


def top_p(o: SamplingOptions, _model: Model) -> Links:
    return [links.top_p_link(o.top_p)] if o.top_p < 1.0 else []


def min_p(o: SamplingOptions, _model: Model) -> Links:
    return [links.min_p_link(o.min_p)] if o.min_p > 0.0 else []


def draw(o: SamplingOptions, _model: Model) -> Links:
    return [links.temperature_link(o.temperature), links.draw_link(seed(o.seed))]


LINKS: dict[str, Callable[[SamplingOptions, Model], Links]] = {
    "repeat_last_n repeat_penalty presence_penalty frequency_penalty": penalties,
    "top_k": top_k,
    "typical_p": typical,
    "top_p": top_p,
    "min_p": min_p,
    "temperature seed": draw,
}
"""The options of each link, in the order of the chain."""


def chain(options: SamplingOptions, model: Model) -> Chain:
    """The sampler of one sequence; temperature 0 is greedy, which makes the links after the penalties idle."""
    if options.temperature <= 0.0:
        return Chain([*penalties(options, model), links.greedy_link()])
    return Chain([link for make in LINKS.values() for link in make(options, model)])


def penalised(tokens: list[int], options: SamplingOptions) -> list[int]:
    """The end of the prompt that the penalties look at."""
    last = options.repeat_last_n
    return tokens if last < 0 else tokens[len(tokens) - min(last, len(tokens)) :]


def seed(value: int) -> int:
    """A llama.cpp seed: modulo 2^32; negative is random."""
    if value < 0:
        return secrets.randbelow(RANDOM_SEED)
    return value % 2**32 if value % 2**32 != RANDOM_SEED else RANDOM_SEED - 1
