"""llama.cpp as a library in this process: its start, its log, and the words of its last errors."""

import ctypes
import logging
import re
from importlib.metadata import version

from hoshikage.engine.llama.binding import C

log = logging.getLogger("hoshikage.llama")

LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.ERROR}
WARN, ERROR = 3, 4
BUFFER = re.compile(r"(\S+) model buffer size = +([\d.]+) MiB")
MIB = 1 << 20
last_errors: list[str] = []
last_warnings: list[str] = []
model_buffers: dict[str, int] = {}
"""Where the weights of the model loaded last lie, as llama.cpp logs it, in bytes."""


def forget() -> None:
    """Before a model is loaded."""
    last_errors.clear()
    last_warnings.clear()
    model_buffers.clear()


@C.llama_log_callback  # type: ignore[untyped-decorator]
def on_log(level: int, text: bytes, _user: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    if line:
        log.log(LEVELS.get(level, logging.DEBUG), "%s", line)
    if level == ERROR and line:
        last_errors.append(line)
    elif level == WARN and line:
        last_warnings.append(line)
    elif found := BUFFER.search(line):
        model_buffers[found[1]] = model_buffers.get(found[1], 0) + int(float(found[2]) * MIB)


def start() -> None:
    """Once a process, before anything else here."""
    C.llama_log_set(on_log, ctypes.c_void_p(0))
    C.llama_backend_init()


def supports_gpu() -> bool:
    """Whether this build of llama.cpp can use a GPU."""
    return bool(C.llama_supports_gpu_offload())


def build() -> str:
    """What a saved state depends on beside the model."""
    return f"llama-cpp-python {version('llama-cpp-python')}, state {C.LLAMA_STATE_SEQ_VERSION}"
