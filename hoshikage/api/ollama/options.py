"""Ollama's `options`: which there are, and the errors for a wrong type (contract §5.1). Ranges are checked later."""

from msgspec.inspect import BoolType, FloatType, IntType, Metadata, StructType, Type, VarTupleType, type_info

from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama.decode import is_number
from hoshikage.sampling import SamplingOptions

LOADING = "num_ctx num_batch num_gpu main_gpu num_thread draft_num_predict num_keep num_predict".split()
MEANINGLESS = frozenset(
    "tfs_z penalize_newline num_keep numa low_vram f16_kv logits_all vocab_only use_mlock embedding_only".split()
)
"""Old clients send them; llama.cpp has nothing of that name any more, or hoshikage never shifts a context."""

GO_TYPES: dict[type, str] = {
    IntType: "of type integer",
    FloatType: "of type float32",
    BoolType: "of type boolean",
    VarTupleType: "of type array",
}


def _sampling() -> dict[str, str]:
    """The sampling options that can be given here, and their types as Ollama names them."""
    info = type_info(SamplingOptions)
    assert isinstance(info, StructType)  # noqa: S101
    found = {field.name: GO_TYPES.get(type(_bare(field.type))) for field in info.fields}
    return {name: kind for name, kind in found.items() if kind}


def _bare(given: Type) -> Type:
    return given.type if isinstance(given, Metadata) else given


KINDS = {
    **dict.fromkeys(LOADING, "of type integer"),
    **_sampling(),
    "use_mmap": "of type boolean",
    "stop": "of type array",
}


def options_of(given: dict[str, object]) -> dict[str, object]:
    """The options that are known, each in its type. Unknown names are passed over, as is null.

    Raises OllamaFault (500, as Ollama does) naming the option and its type.
    """
    return {name: _typed(name, value) for name, value in given.items() if name in KINDS and value is not None}


def ignored(given: dict[str, object]) -> tuple[str, ...]:
    """Warnings of options that are Ollama's but do nothing."""
    return tuple(f"option-ignored={name}" for name, value in given.items() if name in MEANINGLESS and value is not None)


def _typed(name: str, value: object) -> object:
    kind = KINDS[name]
    number = is_number(value)
    if kind == "of type integer":
        return int(value) if number else _refuse(name, kind)  # type: ignore[call-overload]
    if kind == "of type float32":
        return float(value) if number else _refuse(name, kind)  # type: ignore[arg-type]
    if kind == "of type boolean":
        return value if isinstance(value, bool) else _refuse(name, kind)
    if not isinstance(value, list):
        return _refuse(name, kind)
    return value if all(isinstance(each, str) for each in value) else _refuse(name, "of an array of strings")


def _refuse(name: str, what: str) -> object:
    raise OllamaFault(500, f'option "{name}" must be {what}')
