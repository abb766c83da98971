"""Which backend llama.cpp is compiled for on this machine. Standard library only.

A CUDA build does not even load without NVIDIA's driver, so a compiler alone is not enough for it.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CMAKE_ARGS = {
    "cpu": "",
    "cuda": "-DGGML_CUDA=on",
    "vulkan": "-DGGML_VULKAN=on",
    "metal": "-DGGML_METAL=on",
}
NVCC_LEAST = (11, 8)
NVCC_PLACE = Path("/usr/local/cuda/bin/nvcc")
PROBE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, its CMake arguments, and what the user should hear about the choice."""

    backend: str
    notes: tuple[str, ...] = ()

    @property
    def cmake_args(self) -> str:
        return CMAKE_ARGS[self.backend]


def choose(asked: str) -> Choice:
    """The backend for BACKEND=`asked` on this machine. Raises ValueError naming what is allowed."""
    asked = asked.strip().lower() or "auto"
    if asked in CMAKE_ARGS:
        return Choice(asked)
    if asked != "auto":
        raise ValueError(f"BACKEND={asked} cannot be used: auto, {', '.join(CMAKE_ARGS)} are allowed")
    return fitting(sys.platform, gpu_present(), nvcc_version())


def fitting(system: str, gpu: str | None, nvcc: tuple[int, int] | None) -> Choice:
    """What fits a machine with this GPU (its name, or None) and this CUDA compiler (its version, or None)."""
    if system == "darwin":
        return Choice("metal")
    if gpu and nvcc and nvcc >= NVCC_LEAST:
        return Choice("cuda")
    if gpu:
        found = f"nvcc {nvcc[0]}.{nvcc[1]}" if nvcc else "no nvcc"
        return Choice(
            "cpu", (f"{gpu}, but {found}: install the CUDA toolkit 11.8 or newer to use it; building for the CPU",)
        )
    if nvcc:
        return Choice("cpu", ("nvcc is here but no NVIDIA GPU: building for the CPU (BACKEND=cuda overrides)",))
    return Choice("cpu")


def gpu_present() -> str | None:
    """The name of the first NVIDIA GPU, or None."""
    smi = shutil.which("nvidia-smi")
    if not smi:
        return "NVIDIA GPU" if Path("/dev/nvidia0").exists() else None
    listed = output([smi, "--list-gpus"])
    match = re.match(r"GPU \d+: (.*?)(?: \(UUID|$)", listed)
    return match[1] if match else None


def nvcc_version() -> tuple[int, int] | None:
    found = shutil.which("nvcc") or (str(NVCC_PLACE) if NVCC_PLACE.exists() else None)
    match = re.search(r"release (\d+)\.(\d+)", output([found, "--version"])) if found else None
    return (int(match[1]), int(match[2])) if match else None


def output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROBE_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
