"""Ollama's `options`: which there are, and the errors for a wrong type (contract §5.1). Ranges are checked later."""

import math

from hoshikage.api.errors import OllamaFault

INTEGERS = frozenset(
    "num_ctx num_batch num_gpu main_gpu num_thread draft_num_predict num_keep seed num_predict top_k"
    " repeat_last_n".split()
)
FLOATS = frozenset("top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty".split())
BOOLEANS = frozenset({"use_mmap"})


def options_of(given: dict[str, object]) -> dict[str, object]:
    """The options that are known, each in its type. Unknown names are passed over, as is null.

    Raises OllamaFault (500, as Ollama does) naming the option and its type.
    """
    return {name: _typed(name, value) for name, value in given.items() if name in KNOWN and value is not None}


KNOWN = INTEGERS | FLOATS | BOOLEANS | {"stop"}


def _typed(name: str, value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if name in INTEGERS:
        return int(value) if number else _refuse(name, "of type integer")  # type: ignore[call-overload]
    if name in FLOATS:
        return float(value) if number else _refuse(name, "of type float32")  # type: ignore[arg-type]
    if name in BOOLEANS:
        return value if isinstance(value, bool) else _refuse(name, "of type boolean")
    if not isinstance(value, list):
        return _refuse(name, "of type array")
    return value if all(isinstance(each, str) for each in value) else _refuse(name, "of an array of strings")


def _refuse(name: str, what: str) -> object:
    raise OllamaFault(500, f'option "{name}" must be {what}')
