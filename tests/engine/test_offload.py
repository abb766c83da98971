"""GPU memory that does not suffice: llama.cpp's words for it, fewer layers, a second try. Without a GPU."""

from pathlib import Path

import pytest

from hoshikage.engine import wire
from hoshikage.engine.llama import library
from hoshikage.engine.llama.devices import Device, bytes_on, gpus
from hoshikage.engine.llama.placement import Placement
from hoshikage.engine.offload import fewer_layers, kv_cells, out_of_vram
from hoshikage.engine.retry import Serve, Served, served, with_fewer_layers
from hoshikage.errors import LoadFailed
from tests.engine.test_engine import load

GIB = 1 << 30
CUDA = (
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc failed: out of memory"
)
CARD = Device("CUDA0", 1, GIB, 8 * GIB)


@pytest.mark.parametrize(
    ("line", "is_vram"),
    [
        (CUDA, True),
        ("alloc_tensor_range: failed to allocate Vulkan0 buffer of size 4294967296", True),
        ("llama_model_load: error loading model: vk::Device::allocateMemory: ErrorOutOfDeviceMemory", True),
        ("ggml_metal: failed to allocate Metal buffer of 99 bytes (out of memory)", True),
        ("llama_model_load: error loading model: unable to allocate CUDA0 buffer", True),
        ("alloc_tensor_range: failed to allocate CPU buffer of size 4294967296", False),
        ("ggml_aligned_malloc: insufficient memory (attempted to allocate 4096.00 MB)", False),
        ("llama_model_load: error loading model: invalid magic", False),
    ],
)
def test_llama_cpps_words_tell_whose_memory_was_too_small(line: str, is_vram: bool) -> None:
    assert out_of_vram(["llama_model_load_from_file_impl: failed to load model", line]) == is_vram


@pytest.mark.parametrize(
    ("asked", "free_gib", "again"),
    [(-1, 4, 12), (-1, 0, 16), (20, 4, 12), (10, 4, 5), (1, 0, 0), (99, 10**6, 16)],
)
def test_fewer_layers_are_what_fits_with_room_for_the_cache_or_half(asked: int, free_gib: int, again: int) -> None:
    """32 layers and the output, a quarter of a GiB each."""
    assert fewer_layers(asked, 32, weights_bytes=33 * GIB // 4, free_bytes=free_gib * GIB) == again


def test_a_cache_on_the_gpu_takes_a_quarter_of_its_memory_and_not_of_the_ram() -> None:
    assert kv_cells(1024, 1.0, free_vram=GIB, free_ram=99 * GIB) == GIB // 4 // 1024
    assert kv_cells(1024, 0.0, free_vram=0, free_ram=GIB) == GIB // 4 // 1024
    assert kv_cells(1024, 0.5, free_vram=GIB, free_ram=2 * GIB) == GIB // 2 // 1024


def test_buffers_count_by_the_device_they_are_named_after() -> None:
    buffers = {"CPU_Mapped": 1, "CUDA0": 2, "CUDA1": 4, "CPU_REPACK": 8, "CUDA_Split": 16}
    assert (bytes_on([CARD], buffers), bytes_on([], buffers)) == (18, 0)


def test_a_share_for_a_gpu_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(LoadFailed, match="TENSOR_SPLIT has 2 shares for 1 GPUs"):
        Placement(tensor_split=(3, 1)).params([CARD])
    with pytest.raises(LoadFailed, match=r"MAIN_GPU \(main_gpu\) is 4: 0 to 0"):
        Placement(main_gpu=4).params([CARD])
    assert not gpus() or Placement(main_gpu=0).used(gpus())


def crowded(most: int, asked: list[int]) -> Serve:
    """Loads for real, after refusing in CUDA's words whatever puts more than `most` layers on the card."""

    def serve(load: wire.Load, warnings: tuple[str, ...]) -> Served:
        asked.append(load.n_gpu_layers)
        if not 0 <= load.n_gpu_layers <= most:
            raise LoadFailed(reason=CUDA)
        return served(load, warnings)

    return serve


def test_a_load_that_does_not_fit_is_tried_once_with_fewer_layers_and_says_so(starter: Path) -> None:
    library.start()
    asked: list[int] = []
    whole = wire.Load(path=str(starter), n_ctx=256, n_batch=64, n_threads=1, n_gpu_layers=-1, num_parallel=1)
    small = Device("CUDA0", 1, starter.stat().st_size // 2, 8 * GIB)
    model, _, ready = with_fewer_layers(whole, crowded(12, asked), lambda: [small])
    model.close()
    assert asked == [-1, 11]
    assert ready.warnings == ("gpu-layers-reduced=11",)
    with pytest.raises(LoadFailed, match="out of memory"):
        with_fewer_layers(whole, crowded(2, asked), lambda: [small])
    assert asked[2:] == [-1, 11]


def test_a_load_that_fails_for_another_reason_is_not_repeated(tmp_path: Path) -> None:
    library.start()
    (tmp_path / "no.gguf").write_bytes(b"GGUF no more")
    with pytest.raises(LoadFailed, match="failed to load model"):
        with_fewer_layers(load(tmp_path / "no.gguf"), devices=lambda: [CARD])
