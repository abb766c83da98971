"""The parameters a Modelfile may set: Ollama's options by type, and their values from text. Knows no file."""

import re
from collections.abc import Callable

from hoshikage.errors import BadModelfile
from hoshikage.models import go

Value = int | float | bool | list[str]

DEPRECATED = frozenset(
    "penalize_newline low_vram f16_kv logits_all vocab_only use_mlock mirostat mirostat_tau mirostat_eta".split()
)
_INTS = "num_ctx num_batch num_gpu main_gpu num_thread draft_num_predict num_keep seed num_predict top_k repeat_last_n"
_FLOATS = "top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty"
TRUE, FALSE = frozenset("1 t T TRUE true True".split()), frozenset("0 f F FALSE false False".split())
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


def typed(name: str, text: str) -> Value:
    """The value of the parameter; of `stop` a list of one. Raises BadModelfile with Ollama's words."""
    kind = KINDS.get(name)
    if kind is None:
        raise BadModelfile(reason=f"unknown parameter '{name}'")
    try:
        return READERS[kind](text)
    except (ValueError, OverflowError) as error:
        raise BadModelfile(reason=f"invalid {kind} value [{text}]") from error


def integer(text: str) -> int:
    """An int64; also a whole number with an exponent, which is how `/api/show` prints those from a million on."""
    if _INTEGER.fullmatch(text):
        value = int(text)
    else:
        if not _DECIMAL.fullmatch(text) or "e" not in text.lower() or not (whole := float(text)).is_integer():
            raise ValueError(text)
        value = int(whole)
    if not -(2**63) <= value < 2**63:
        raise OverflowError(text)
    return value


def real(text: str) -> float:
    """A finite float32 in decimal notation."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    return go.float32(float(text))


def boolean(text: str) -> bool:
    if text not in TRUE | FALSE:
        raise ValueError(text)
    return text in TRUE


def texts(text: str) -> list[str]:
    return [text]


KINDS = (
    dict.fromkeys(_INTS.split(), "int")
    | dict.fromkeys(_FLOATS.split(), "float")
    | dict.fromkeys(["use_mmap"], "bool")
    | dict.fromkeys(["stop"], "list")
)
READERS: dict[str, Callable[[str], Value]] = {"int": integer, "float": real, "bool": boolean, "list": texts}
