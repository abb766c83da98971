"""The header reader, against the gguf package as oracle and against damaged files."""

import os
import random
import struct
from pathlib import Path

import gguf
import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.errors import FileMissing, NotGguf
from hoshikage.models.ggml_types import TENSOR_TYPES
from hoshikage.models.gguf import Array, read_header


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_facts_are_those_of_the_oracle(starter: Path) -> None:
    header, oracle = read_header(starter), gguf.GGUFReader(starter)
    assert header.parameter_count == sum(int(t.n_elements) for t in oracle.tensors)
    assert [(t.name, list(t.shape)) for t in header.tensors] == [(t.name, t.shape.tolist()) for t in oracle.tensors]
    assert (header.architecture, header.context_length, header.file_type) == ("llama", 8192, "Q4_1")
    assert header.parameter_size == "134.52M"
    assert header.chat_template
    assert "<|im_start|>" in header.chat_template


def test_every_metadata_value_is_the_oracles(tiny: Path) -> None:
    oracle = gguf.GGUFReader(tiny)
    for key, value in read_header(tiny, keep=1 << 30).metadata.items():
        assert value == oracle.fields[key].contents(), key


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


def test_every_truncation_is_refused(tiny: Path, tmp_path: Path) -> None:
    data, path = tiny.read_bytes(), tmp_path / "cut.gguf"
    for size in random.Random(0).sample(range(len(data) - 64), 200):
        path.write_bytes(data[:size])
        with pytest.raises(NotGguf):
            read_header(path)


def test_whatever_is_changed_only_notgguf_is_raised(tiny: Path, tmp_path: Path) -> None:
    data, path, rng = tiny.read_bytes(), tmp_path / "mutant.gguf", random.Random(1)
    header = read_header(tiny).data_offset
    refused = 0
    for _ in range(600):
        mutant = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(header)
            mutant[at : at + 8] = rng.choice([b"\xff" * 8, bytes(8), struct.pack("<Q", 2**63), rng.randbytes(8)])
        path.write_bytes(mutant)
        try:
            read_header(path)
        except NotGguf:
            refused += 1
    assert refused > 100
