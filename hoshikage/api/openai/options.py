"""The sampling options of a request: OpenAI's own, and llama.cpp's names beside them. Ranges are checked later.

They are read off SamplingOptions, so that an option is declared once.
"""

from typing import Any

import msgspec
from msgspec.inspect import BoolType, DictType, FloatType, IntType, Metadata, StructType, Type, VarTupleType, type_info

from hoshikage.api.errors import OpenAIFault
from hoshikage.api.openai.decode import Number, decoded, integer
from hoshikage.sampling import SamplingOptions

BIAS_MOST = 100
TOKENS_MAX = 2**31

JSON_TYPES: dict[type, Any] = {
    IntType: Number | None,
    FloatType: Number | None,
    BoolType: bool | None,
    VarTupleType: list[str] | None,
    DictType: dict[str, Number | bool] | None,
}


def _bare(given: Type) -> Type:
    return given.type if isinstance(given, Metadata) else given


def _kinds() -> dict[str, type]:
    info = type_info(SamplingOptions)
    assert isinstance(info, StructType)  # noqa: S101
    return {field.name: type(_bare(field.type)) for field in info.fields}


KINDS = _kinds()
_decoder = msgspec.json.Decoder(
    msgspec.defstruct("SamplingFields", [(name, JSON_TYPES[kind], None) for name, kind in KINDS.items()])
)


def sampling_of(body: bytes) -> dict[str, object]:
    """The options in a request's body, null being absence. Raises OpenAIFault (400) naming the field."""
    fields = decoded(_decoder, body)
    given = {name: getattr(fields, name) for name in KINDS}
    return {name: _value(name, value) for name, value in given.items() if value is not None}


def _value(name: str, value: Any) -> object:  # noqa: ANN401  of the type that its field has
    if KINDS[name] is DictType:
        return biases(value)
    return integer(name, value) if KINDS[name] is IntType else value


def biases(given: dict[str, Number | bool]) -> dict[int, float]:
    """Token id -> bias; `false` bans, as in llama.cpp. Ids that no vocabulary has are passed over."""
    found = {_token(key): _bias(key, value) for key, value in given.items()}
    return {token: bias for token, bias in found.items() if 0 <= token < TOKENS_MAX}


def _token(key: str) -> int:
    try:
        return int(key)
    except ValueError as error:
        text = f"logit_bias has the key {key!r}: a token id is allowed"
        raise OpenAIFault(text, param="logit_bias", code="invalid_value") from error


def _bias(key: str, value: Number | bool) -> float:
    if value is False:
        return -BIAS_MOST
    if value is True or not -BIAS_MOST <= value <= BIAS_MOST:
        text = f"logit_bias of {key} is {value}: a number from -{BIAS_MOST} to {BIAS_MOST} is allowed"
        raise OpenAIFault(text, param="logit_bias", code="invalid_value")
    return float(value)
