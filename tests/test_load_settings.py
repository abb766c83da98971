"""Settings of a load: KV types, flash attention, GPUs, and which of them do not go together."""

from pathlib import Path

import pytest

from hoshikage.errors import SettingsError
from hoshikage.kv_types import KV_TYPES, row_bytes
from hoshikage.models.ggml_types import TENSOR_TYPES
from tests.test_settings import load


def test_ollamas_type_is_that_of_keys_and_values_and_our_own_win(tmp_path: Path) -> None:
    both = load(tmp_path, OLLAMA_KV_CACHE_TYPE="Q8_0")
    assert (both.kv_type_k, both.kv_type_v) == ("q8_0", "q8_0")
    mixed = load(tmp_path, OLLAMA_KV_CACHE_TYPE="q4_0", KV_TYPE_K="q8_0")
    assert (mixed.kv_type_k, mixed.kv_type_v) == ("q8_0", "q4_0")


@pytest.mark.parametrize(
    ("raw", "read"), [("1", "on"), ("true", "on"), ("0", "off"), ("False", "off"), ("auto", "auto"), ("ON", "on")]
)
def test_flash_attention_takes_ollamas_words_too(tmp_path: Path, raw: str, read: str) -> None:
    assert load(tmp_path, OLLAMA_FLASH_ATTENTION=raw).flash_attention == read


def test_a_quantized_value_type_without_flash_attention_names_both_settings_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"KV_TYPE_V='q8_0' .* FLASH_ATTENTION=off .* set FLASH_ATTENTION=auto"):
        load(tmp_path, OLLAMA_KV_CACHE_TYPE="q8_0", OLLAMA_FLASH_ATTENTION="0")
    assert load(tmp_path, KV_TYPE_K="q8_0", FLASH_ATTENTION="off").kv_type_k == "q8_0"


def test_one_gpu_alone_has_no_shares(tmp_path: Path) -> None:
    assert load(tmp_path, TENSOR_SPLIT="3, 1").tensor_split == (3.0, 1.0)
    with pytest.raises(SettingsError, match=r"TENSOR_SPLIT='3,1' .* MAIN_GPU=1 takes one GPU alone"):
        load(tmp_path, TENSOR_SPLIT="3,1", MAIN_GPU="1")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("KV_TYPE_K", "q3_k", "one of f32, f16, bf16, q8_0"),
        ("KV_TYPE_V", "int8", "iq4_nl is allowed"),
        ("FLASH_ATTENTION", "maybe", "auto, on"),
        ("CPU_REPACK", "never", "auto, on"),
        ("TENSOR_SPLIT", "0,0", "not all of them 0"),
        ("TENSOR_SPLIT", "1;2", "as in 3,1"),
        ("TENSOR_SPLIT", "1,-1", "as in 3,1"),
        ("MAIN_GPU", "first", "a whole number from -1"),
        ("SPLIT_MODE", "column", "one of layer, row"),
        ("N_THREADS_BATCH", "-1", "a whole number from 0"),
    ],
)
def test_a_bad_value_names_the_variable_and_what_is_allowed(
    tmp_path: Path, name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **{name: value})
    assert f"{name}={value!r}" in str(caught.value)
    assert allowed in str(caught.value)


def test_the_types_are_those_of_ggml() -> None:
    assert {name: TENSOR_TYPES[each.number] for name, each in KV_TYPES.items()} == {
        name: (name.upper(), each.block, each.bytes) for name, each in KV_TYPES.items()
    }
    assert (row_bytes("f16", 192), row_bytes("q8_0", 192), row_bytes("q4_0", 33)) == (384, 204, 36)
