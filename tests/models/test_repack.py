"""What llama.cpp repacks, foretold from the header and compared with what it logs; and when it is worth its memory."""

from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.engine.llama import library
from hoshikage.engine.llama.model import Model
from hoshikage.engine.llama.placement import Placement
from hoshikage.engine.quantize import quantize
from hoshikage.models.gguf import Header, Tensor, read_header
from hoshikage.models.repack import repackable, repacks, worth_repacking
from tests.models.test_pool import load

GB = 10**9
AVX512, ARM, AMX = {"avx2", "avx512f"}, {"asimd", "asimddp", "i8mm"}, {"avx2", "avx512f", "amx_int8"}
IDS = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "Q2_K": 10, "Q4_K": 12, "Q6_K": 14}


def header(*tensors: tuple[str, str, tuple[int, ...]]) -> Header:
    return Header(3, {}, tuple(Tensor(name, IDS[kind], shape, 0) for name, kind, shape in tensors), 0)


def repacked(path: Path, *, repack: bool) -> int:
    """As llama.cpp logs it while it loads the model."""
    library.start()
    model = Model(path, Placement(n_gpu_layers=0, repack=repack))
    model.close()
    return sum(size for name, size in model.buffers.items() if name in {"CPU_REPACK", "AMX"})


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_K_M", "Q8_0", "IQ4_NL"])
def test_the_header_foretells_what_llama_cpp_repacks(tmp_path: Path, kind: str) -> None:
    half = make_tiny(tmp_path / "half.gguf", width=256, half=True)
    for _ in quantize(half, tmp_path / "small.gguf", kind):
        pass
    foretold = repackable(read_header(tmp_path / "small.gguf").tensors)
    assert abs(repacked(tmp_path / "small.gguf", repack=True) - foretold) <= 0.01 * 2**20
    assert repacked(tmp_path / "small.gguf", repack=False) == 0
    assert foretold > 0 or kind == "Q8_0"


def test_a_real_model_repacks_what_its_header_foretells(gemma: Path) -> None:
    assert abs(repacked(gemma, repack=True) - repackable(read_header(gemma).tensors)) <= 0.01 * 2**20


@pytest.mark.parametrize(
    ("flags", "kinds"),
    [
        ({"sse4_2"}, set()),
        ({"avx2"}, {"Q4_0", "Q4_K"}),
        (AVX512, {"Q4_0", "Q4_K", "Q2_K"}),
        (ARM, {"Q4_0", "Q8_0", "Q4_K", "Q6_K"}),
        (AMX, {"Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q2_K", "Q6_K"}),
    ],
)
def test_each_cpu_repacks_its_types(flags: set[str], kinds: set[str]) -> None:
    for kind in IDS:
        matrix = header(("blk.0.ffn_up.weight", kind, (256, 64)))
        assert repackable(matrix.tensors, flags) == (matrix.tensors[0].size if kind in kinds else 0)


def test_tables_and_odd_rows_are_not_repacked_but_a_tied_output_is() -> None:
    table, odd = ("token_embd.weight", "Q4_0", (256, 64)), ("blk.0.ffn_up.weight", "Q4_0", (256, 63))
    size = header(table).tensors[0].size
    assert repackable(header(table, odd, ("output_norm.weight", "Q4_0", (256,))).tensors, AVX512) == size
    assert repackable(header(table, ("output.weight", "Q4_0", (256, 64))).tensors, AVX512) == size


@pytest.mark.parametrize(
    ("mode", "free", "wanted"),
    [("on", 0, True), ("off", 99 * GB, False), ("auto", 4 * GB, True), ("auto", 4 * GB - 2, False)],
)
def test_auto_repacks_only_what_fits_twice_into_half_of_the_free_memory(mode: str, free: int, wanted: bool) -> None:
    assert repacks(mode, GB, free) is wanted


def test_what_the_files_weigh_decides(tmp_path: Path) -> None:
    tiny = load(make_tiny(tmp_path / "tiny.gguf"))
    assert [worth_repacking(tiny, mode) for mode in ("auto", "on", "off")] == [True, True, False]
    assert worth_repacking(load(tmp_path / "missing.gguf"), "off") is True
