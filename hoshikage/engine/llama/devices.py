"""The GPUs that llama.cpp sees, and their memory, by ggml's own list of devices."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hoshikage.engine.llama.binding import C

GPU_TYPES = (1, 2)
"""GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU; an integrated one is used only where there is no other."""
SPLIT_BUFFERS = "_Split"


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU; memory in bytes."""

    name: str
    kind: int
    free: int
    total: int


def gpus() -> tuple[Device, ...]:
    """Those that a model is put on, in llama.cpp's order; none in a build for the CPU."""
    found = tuple(each for each in map(_device, range(_count())) if each.kind in GPU_TYPES)
    real = tuple(each for each in found if each.kind == GPU_TYPES[0])
    return real or found


def bytes_on(gpus: Sequence[Device], buffers: Mapping[str, int]) -> int:
    """How much of llama.cpp's buffers (name: bytes) lies on these GPUs: theirs begin with the device's name."""
    names = tuple(each.name for each in gpus)
    return sum(size for name, size in buffers.items() if _is_of(name, names))


def _is_of(buffer: str, names: tuple[str, ...]) -> bool:
    return bool(names) and (buffer.startswith(names) or buffer.endswith(SPLIT_BUFFERS))


def _device(index: int) -> Device:
    device, free, total = _get(index), ctypes.c_size_t(), ctypes.c_size_t()
    _memory(device, ctypes.byref(free), ctypes.byref(total))
    return Device((_name(device) or b"").decode(), int(_type(device)), free.value, total.value)


def _function(name: str, result: type | None, *arguments: type) -> "ctypes._NamedFuncPointer":
    """A function of the libraries that llama.cpp's own brings with it, which llama-cpp-python does not bind."""
    function = C._lib[f"ggml_backend_dev_{name}"]
    function.restype, function.argtypes = result, arguments
    return function  # type: ignore[no-any-return]


_size = ctypes.POINTER(ctypes.c_size_t)
_count = _function("count", ctypes.c_size_t)
_get = _function("get", ctypes.c_void_p, ctypes.c_size_t)
_name = _function("name", ctypes.c_char_p, ctypes.c_void_p)
_type = _function("type", ctypes.c_int, ctypes.c_void_p)
_memory = _function("memory", None, ctypes.c_void_p, _size, _size)
