"""Sampling options: each declared once, with its range. Knows no dialect and no llama.cpp.

A new option is a field here and a row in `engine/sampler.py`; a test fails until both are there.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, ValidationError, convert

from hoshikage.errors import RequestError

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Meta(ge=0.0)]


class SamplingOptions(Struct, frozen=True, kw_only=True):
    """How the next token is drawn from the logits; the defaults are Ollama's."""

    temperature: NonNegative = 0.8
    """Divides the logits; 0 takes the most probable token."""
    top_k: Annotated[int, Meta(ge=-1, lt=2**31)] = 40
    """Keep the k most probable tokens; 0 or -1 keeps all."""
    top_p: Fraction = 0.9
    """Keep the most probable tokens up to this sum of probability."""
    min_p: Fraction = 0.0
    """Keep tokens of at least this share of the most probable one's probability."""
    typical_p: Fraction = 1.0
    """Keep the locally typical tokens up to this sum of probability (arXiv:2202.00666); 1 keeps all."""
    repeat_last_n: Annotated[int, Meta(ge=-1, lt=2**31)] = 64
    """How many past tokens the penalties look at; 0 = none, -1 = the whole window."""
    repeat_penalty: Annotated[float, Meta(gt=0.0)] = 1.0
    """Divides the logits of past tokens; 1 = off."""
    presence_penalty: float = 0.0
    """Taken once from the logit of every past token."""
    frequency_penalty: float = 0.0
    """Taken from the logit of a past token as often as it occurred."""
    seed: int = -1
    """Start of the random numbers, modulo 2^32; negative = a new one each time."""


NAMES = frozenset(SamplingOptions.__struct_fields__)


def merged(*layers: Mapping[str, object]) -> SamplingOptions:
    """The options of several layers, later ones winning; names that are no sampling option are passed over.

    Raises RequestError naming the option and its range.
    """
    values = {name: value for layer in layers for name, value in layer.items() if name in NAMES}
    for name, value in values.items():
        check(name, value)
    return SamplingOptions(**values)  # type: ignore[arg-type]


def check(name: str, value: object) -> None:
    try:
        convert({name: value}, OPTION_TYPES[name], strict=True)
    except ValidationError as error:
        reason = str(error).split(" - at ", maxsplit=1)[0]
        raise RequestError(reason=f'option "{name}" is {value!r}: {reason}', field=name) from error


OPTION_TYPES = {
    field: dict[str, annotation]  # type: ignore[valid-type]
    for field, annotation in SamplingOptions.__annotations__.items()
}
