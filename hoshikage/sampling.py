"""Sampling options: each declared once, with its range. Knows no dialect and no llama.cpp.

A new option is a field here and a row in `engine/sampler.py`; a test fails until both are there.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, ValidationError, convert, field

from hoshikage.errors import RequestError

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
FLOAT32_MAX = 3.4e38
NonNegative = Annotated[float, Meta(ge=0.0, le=FLOAT32_MAX)]
Finite = Annotated[float, Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
Count = Annotated[int, Meta(ge=0, lt=2**31)]
CountOrAll = Annotated[int, Meta(ge=-1, lt=2**31)]


class SamplingOptions(Struct, frozen=True, kw_only=True):
    """How the next token is drawn from the logits; the defaults are Ollama's."""

    temperature: NonNegative = 0.8
    """Divides the logits; 0 takes the most probable token."""
    dynatemp_range: NonNegative = 0.0
    """Lets the temperature follow the entropy this far up and down (arXiv:2309.02772); 0 = off."""
    dynatemp_exponent: NonNegative = 1.0
    """How the entropy becomes a temperature: its power."""
    top_k: CountOrAll = 40
    """Keep the k most probable tokens; 0 or -1 keeps all."""
    top_p: Fraction = 0.9
    """Keep the most probable tokens up to this sum of probability."""
    min_p: Fraction = 0.0
    """Keep tokens of at least this share of the most probable one's probability."""
    typical_p: Fraction = 1.0
    """Keep the locally typical tokens up to this sum of probability (arXiv:2202.00666); 1 keeps all."""
    top_n_sigma: Annotated[float, Meta(ge=-1.0, le=FLOAT32_MAX)] = -1.0
    """Keep tokens within n standard deviations of the highest logit (arXiv:2411.07641); 0 and below = off."""
    xtc_probability: Fraction = 0.0
    """How often the most probable tokens are cut off (text-generation-webui #6335); 0 = never."""
    xtc_threshold: Fraction = 0.1
    """Of the tokens above this probability only the least probable stays; over 0.5 = off."""
    min_keep: Count = 0
    """Typical, top_p, min_p and xtc leave at least this many tokens."""
    mirostat: Annotated[int, Meta(ge=0, le=2)] = 0
    """1 or 2 = Mirostat of that version in place of all that cuts or penalises (arXiv:2007.14966); 0 = off."""
    mirostat_tau: NonNegative = 5.0
    """The surprise that Mirostat steers to, in bits."""
    mirostat_eta: NonNegative = 0.1
    """How fast it steers."""
    adaptive_target: Annotated[float, Meta(ge=-1.0, le=1.0)] = -1.0
    """Prefer tokens near this probability (llama.cpp #17927); negative = off."""
    adaptive_decay: Annotated[float, Meta(ge=0.0, le=0.99)] = 0.9
    """How much of the past that preference remembers."""
    repeat_last_n: CountOrAll = 64
    """How many past tokens the penalties look at; 0 = none, -1 = the whole window."""
    repeat_penalty: Annotated[float, Meta(gt=0.0, le=FLOAT32_MAX)] = 1.0
    """Divides the logits of past tokens; 1 = off."""
    presence_penalty: Finite = 0.0
    """Taken once from the logit of every past token."""
    frequency_penalty: Finite = 0.0
    """Taken from the logit of a past token as often as it occurred."""
    dry_multiplier: NonNegative = 0.0
    """How hard DRY punishes what would prolong a repetition (text-generation-webui #5677); 0 = off."""
    dry_base: NonNegative = 1.75
    """Its growth for each token of the repetition; below 1 = off."""
    dry_allowed_length: Count = 2
    """Repetitions up to this many tokens go free."""
    dry_penalty_last_n: CountOrAll = 64
    """How many past tokens it looks at; 0 = none, -1 = the whole window."""
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    """No repetition goes on over one of these texts."""
    logit_bias: dict[int, Finite] = field(default_factory=dict)
    """Added to the logits of these token ids; -100 and below bans one. Ids outside the vocabulary do nothing."""
    ignore_eos: bool = False
    """Bans the tokens that end an answer."""
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = -1
    """Start of the random numbers, modulo 2^32; negative = a new one each time."""


NAMES = frozenset(SamplingOptions.__struct_fields__)


def merged(*layers: Mapping[str, object]) -> SamplingOptions:
    """The options of several layers, later ones winning; names that are no sampling option are passed over.

    Raises RequestError naming the option and its range.
    """
    values = {name: value for layer in layers for name, value in layer.items() if name in NAMES}
    return SamplingOptions(**{name: checked(name, value) for name, value in values.items()})  # type: ignore[arg-type]


def checked(name: str, value: object) -> object:
    """The option's value in its type. Raises RequestError naming the option and its range."""
    try:
        return convert({name: value}, OPTION_TYPES[name], strict=True)[name]
    except ValidationError as error:
        reason = str(error).split(" - at ", maxsplit=1)[0]
        raise RequestError(reason=f'option "{name}" is {value!r}: {reason}', field=name) from error


OPTION_TYPES = {
    name: dict[str, annotation]  # type: ignore[valid-type]
    for name, annotation in SamplingOptions.__annotations__.items()
}
