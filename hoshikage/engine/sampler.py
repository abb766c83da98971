"""Option -> link of llama.cpp's sampler chain, in llama.cpp's own order. Knows options, no requests.

The order and what Mirostat leaves out are those of common/sampling.cpp.
"""

import math
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

from hoshikage.engine.llama import chain as links
from hoshikage.engine.llama.chain import Chain
from hoshikage.sampling import SamplingOptions

RANDOM_SEED = 0xFFFFFFFF
"""llama.cpp's value for "draw a new seed"; a user's seed must not land on it."""
BAN = -100.0
"""A bias of this or less bans the token."""


class Vocabulary(Protocol):
    """What the links need of a model. `suppressed` must never be drawn, `ending` end an answer."""

    n_vocab: int
    vocab: object

    @property
    def trained(self) -> int: ...
    @property
    def suppressed(self) -> Sequence[int]: ...
    @property
    def ending(self) -> Sequence[int]: ...


Links = list[object]
Make = Callable[[SamplingOptions, Vocabulary], Links]


def bias(o: SamplingOptions, model: Vocabulary) -> Links:
    banned = [*model.suppressed, *(model.ending if o.ignore_eos else ())]
    given = [(token, -math.inf if b <= BAN else b) for token, b in o.logit_bias.items() if 0 <= token < model.n_vocab]
    biases = [*given, *((token, -math.inf) for token in banned)]
    return [links.bias_link(model.n_vocab, biases)] if biases else []


def penalties(o: SamplingOptions, model: Vocabulary) -> Links:
    neutral = o.repeat_penalty == 1.0 and o.presence_penalty == 0.0 and o.frequency_penalty == 0.0
    last = looked_at(o.repeat_last_n, model)
    if neutral or last == 0:
        return []
    return [links.penalties_link(model.n_vocab, last, o.repeat_penalty, o.frequency_penalty, o.presence_penalty)]


def dry(o: SamplingOptions, model: Vocabulary) -> Links:
    last = looked_at(o.dry_penalty_last_n, model)
    if o.dry_multiplier == 0.0 or o.dry_base < 1.0 or last == 0:
        return []
    how = (o.dry_multiplier, o.dry_base, o.dry_allowed_length, last)
    return [links.dry_link(model.vocab, *how, o.dry_sequence_breakers)]


def looked_at(last_n: int, model: Vocabulary) -> int:
    """Tokens; -1 and everything over the window is the window."""
    return model.trained if last_n < 0 else min(last_n, model.trained)


def top_n_sigma(o: SamplingOptions, _model: Vocabulary) -> Links:
    return [links.top_n_sigma_link(o.top_n_sigma)] if o.top_n_sigma > 0.0 else []


def top_k(o: SamplingOptions, _model: Vocabulary) -> Links:
    return [links.top_k_link(o.top_k)] if o.top_k > 0 else []


def typical(o: SamplingOptions, _model: Vocabulary) -> Links:
    return [links.typical_link(o.typical_p, o.min_keep)] if o.typical_p < 1.0 else []


def top_p(o: SamplingOptions, _model: Vocabulary) -> Links:
    return [links.top_p_link(o.top_p, o.min_keep)] if o.top_p < 1.0 else []


def min_p(o: SamplingOptions, _model: Vocabulary) -> Links:
    return [links.min_p_link(o.min_p, o.min_keep)] if o.min_p > 0.0 else []


def xtc(o: SamplingOptions, _model: Vocabulary) -> Links:
    if o.xtc_probability == 0.0 or o.xtc_threshold > 0.5:
        return []
    return [links.xtc_link(o.xtc_probability, o.xtc_threshold, o.min_keep, seed(o.seed))]


def temperature(o: SamplingOptions, _model: Vocabulary) -> Links:
    spread = 0.0 if o.mirostat else o.dynatemp_range
    return [links.temperature_link(o.temperature, spread, o.dynatemp_exponent)]


def draw(o: SamplingOptions, model: Vocabulary) -> Links:
    start = seed(o.seed)
    if o.mirostat:
        return [links.mirostat_link(o.mirostat, model.n_vocab, start, o.mirostat_tau, o.mirostat_eta)]
    if o.adaptive_target >= 0.0:
        return [links.adaptive_link(o.adaptive_target, o.adaptive_decay, start)]
    return [links.draw_link(start)]


def greedy(_o: SamplingOptions, _model: Vocabulary) -> Links:
    return [links.greedy_link()]


LINKS: dict[str, Make] = {
    "logit_bias ignore_eos": bias,
    "repeat_last_n repeat_penalty presence_penalty frequency_penalty": penalties,
    "dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers": dry,
    "top_n_sigma": top_n_sigma,
    "top_k": top_k,
    "typical_p min_keep": typical,
    "top_p": top_p,
    "min_p": min_p,
    "xtc_probability xtc_threshold": xtc,
    "temperature dynatemp_range dynatemp_exponent": temperature,
    "mirostat mirostat_tau mirostat_eta adaptive_target adaptive_decay seed": draw,
}
"""The options of each link, in the order of the chain."""


def chain(options: SamplingOptions, model: Vocabulary) -> Chain:
    """The sampler of one sequence."""
    return Chain([link for make in makers(options) for link in make(options, model)])


def makers(o: SamplingOptions) -> Sequence[Make]:
    """The rows of LINKS that count.

    At temperature 0 the most probable token wins, which makes idle whatever never cuts that one off.
    """
    if o.mirostat:
        return (bias, temperature, draw) if o.temperature > 0.0 else (bias, greedy)
    cuts_the_first = o.typical_p < 1.0 or o.xtc_probability > 0.0
    if o.temperature > 0.0 or o.dynatemp_range > 0.0 or cuts_the_first:
        return tuple(LINKS.values())
    return (bias, penalties, dry, greedy)


def penalised(tokens: list[int], options: SamplingOptions) -> list[int]:
    """The end of the prompt that the penalties look at."""
    looked = [options.repeat_last_n, *([options.dry_penalty_last_n] if options.dry_multiplier else [])]
    last = len(tokens) if min(looked) < 0 else min(max(looked), len(tokens))
    return tokens[len(tokens) - last :]


def seed(value: int) -> int:
    """A llama.cpp seed: modulo 2^32; negative is random."""
    if value < 0:
        return secrets.randbelow(RANDOM_SEED)
    return value % 2**32 if value % 2**32 != RANDOM_SEED else RANDOM_SEED - 1
