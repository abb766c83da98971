"""The process that quantizes one model, started by `engine/quantize.py`. Says a line for each tensor.

llama.cpp has no callback for it, but a line in its log: `[  12/ 272] blk.0.attn_q.weight - …`, before the work on it.
"""

import ctypes
import os
import re
import select
import sys
import threading
from pathlib import Path

from hoshikage.engine.llama.binding import C
from hoshikage.engine.threads import physical_cores

ERROR = 4
NICENESS = 5
"""Chats go first."""
PROBE_BYTES = 1 << 20
_TENSOR = re.compile(r"\[ *(\d+)/ *(\d+)\]")

_errors: list[str] = []


def main() -> int:
    """Arguments: source, target, llama.cpp's file type. The last line is `done`, or `failed` and why; 0 if done."""
    source, target, number = sys.argv[1:]
    threading.Thread(target=_end_with_reader, daemon=True).start()
    os.nice(NICENESS)
    C.llama_log_set(_on_log, ctypes.c_void_p(0))
    C.llama_backend_init()
    params = C.llama_model_quantize_default_params()
    params.ftype, params.nthread = int(number), physical_cores()
    if C.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)):
        _say(f"failed {_obstacle(target) or '; '.join(_errors) or 'llama.cpp gave no reason'}")
        return 1
    return _flush(target)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@C.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _user: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    if level == ERROR and line:
        _errors.append(" ".join(line.split()))
    elif found := _TENSOR.match(line):
        _say(f"progress {int(found[1]) - 1} {found[2]}")


def _end_with_reader() -> None:
    """End this process when nobody reads what it says any more.

    Not PR_SET_PDEATHSIG: that is sent at the end of the thread that started us, which may be one of a pool.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    poll.poll()
    os._exit(1)


def _obstacle(target: str) -> str:
    """Why nothing can be written to the target, which llama.cpp does not tell; empty if it can."""
    try:
        with Path(target).open("ab") as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _flush(target: str) -> int:
    try:
        with Path(target).open("rb") as file:
            os.fsync(file.fileno())
    except OSError as error:
        _say(f"failed {error.strerror}")
        return 1
    _say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
