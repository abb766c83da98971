"""The header reader, against the gguf package as oracle and against damaged files."""

import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from fixtures.bert_gguf import make_tiny_bert
from fixtures.tiny_gguf import make_tiny
from hoshikage.errors import FileMissing, NotGguf
from hoshikage.models.ggml_types import TENSOR_TYPES
from hoshikage.models.gguf import Array, read_header

EVERY = 1 << 62


def test_the_facts_of_the_starter_are_known(starter: Path) -> None:
    header = read_header(starter)
    assert (header.architecture, header.context_length, header.file_type) == ("llama", 8192, "Q4_1")
    assert header.parameter_size == "134.52M"
    assert header.chat_template
    assert "<|im_start|>" in header.chat_template


def test_every_value_and_tensor_of_the_starter_is_the_oracles(starter: Path) -> None:
    check_by_oracle(starter)


@pytest.mark.parametrize(
    "make",
    [
        make_tiny,
        lambda path: make_tiny(path, chat_template=None, window=7),
        lambda path: make_tiny_bert(path, gguf.PoolingType.MEAN),
    ],
)
def test_every_value_and_tensor_of_a_tiny_file_is_the_oracles(make: Callable[[Path], Path], tmp_path: Path) -> None:
    check_by_oracle(make(tmp_path / "tiny.gguf"))


def check_by_oracle(path: Path) -> None:
    header, oracle = read_header(path, keep=EVERY), gguf.GGUFReader(path)
    values = {key: field.contents() for key, field in oracle.fields.items() if not key.startswith("GGUF.")}
    assert header.metadata == values
    assert header.data_offset == oracle.data_offset
    tensors = [(t.name, t.type, t.shape, header.data_offset + t.offset, t.size) for t in header.tensors]
    assert tensors == [
        (t.name, int(t.tensor_type), tuple(t.shape.tolist()), int(t.data_offset), int(t.n_bytes))
        for t in oracle.tensors
    ]
    assert header.parameter_count == sum(int(t.n_elements) for t in oracle.tensors)


def test_the_largest_vocabulary_takes_less_than_20_mb(gemma: Path) -> None:
    tracemalloc.start()
    try:
        header = read_header(gemma)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert header.metadata["tokenizer.ggml.tokens"] == Array("string", 262144)
    assert peak < 20_000_000


def test_long_arrays_are_not_kept(starter: Path) -> None:
    assert read_header(starter).metadata["tokenizer.ggml.tokens"] == Array("string", 49152)


def test_the_table_of_tensor_types_is_the_oracles() -> None:
    for kind, (block, width) in gguf.GGML_QUANT_SIZES.items():
        if kind.value in TENSOR_TYPES:
            assert TENSOR_TYPES[kind.value][1:] == (block, width), kind
    assert {0, 1, 2, 3, 8, 12, 14, 30} <= TENSOR_TYPES.keys()


def test_a_missing_file_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        read_header(tmp_path / "no.gguf")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "fifo"):
        with pytest.raises((NotGguf, FileMissing)):
            read_header(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "GGUF"),
        (b"GGML" + bytes(100), "magic"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(100), "version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "usable"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "usable"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "usable"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(100), "endian"),
    ],
)
def test_a_damaged_start_is_refused_with_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(NotGguf, match=reason):
        read_header(path)
