"""How much memory the NVIDIA GPUs of this machine have free. Without their driver's library it knows of none."""

import ctypes.util
import logging
import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

log = logging.getLogger("hoshikage.vram")

HIDING = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Vram:
    """Bytes of all GPUs together."""

    free: int = 0
    total: int = 0


def vram() -> Vram:
    """What the GPUs have now; nothing where there is none, or where the driver does not answer."""
    library = _library()
    return read(library) if library else Vram()


def read(nvml: ModuleType) -> Vram:
    """What NVML tells of the GPUs that CUDA may use. `nvml` is the module pynvml, initialised."""
    free = total = 0
    try:
        for index in _visible(int(nvml.nvmlDeviceGetCount())):
            found = nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(index))
            free, total = free + int(found.free), total + int(found.total)
    except nvml.NVMLError as error:
        log.warning("the GPU's memory is not known: %s", error)
    return Vram(free, total)


def _visible(count: int) -> list[int]:
    """The GPUs by number; those named by UUID are not told apart, so that all count."""
    named = os.environ.get(HIDING)
    if named is None or not all(each.strip().isdecimal() for each in named.split(",") if each):
        return list(range(count))
    return [index for each in named.split(",") if each and (index := int(each)) < count]


@cache
def _library() -> ModuleType | None:
    """NVML, once it answers. Its bindings are 0.5 MB of Python, which a machine without a GPU does not pay for."""
    if ctypes.util.find_library("nvidia-ml") is None:
        return None
    pynvml = import_module("pynvml")

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        log.warning("there is NVIDIA's library and no GPU to be used: %s", error)
        return None
    return pynvml
