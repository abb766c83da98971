"""The process that quantizes one model, started by `engine/quantize.py`. Says a line for each tensor.

llama.cpp has no callback for it, but a line in its log before the work on each:
`[  12/ 272] blk.0.attn_q.weight - [ 256, 256, 1, 1], type = f16, `.
"""

import ctypes
import math
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
ROWS_BYTES = 1 << 25
"""Of a large tensor that many bytes of rows are in memory at a time; llama.cpp's own limit is 8 GiB."""
ELEMENT_BYTES = {"f32": 4, "f16": 2, "bf16": 2}
_TENSOR = re.compile(r"\[ *\d+/ *\d+\] .+ - \[([\d ,]+)\], type = +(\w+),")

_errors: list[str] = []
_begun: list[int] = []
"""Bytes of the tensors so far, the present one included."""


def main() -> int:
    """Arguments: source, target, llama.cpp's file type. The last line is `done`, or `failed` and why; 0 if done."""
    source, target, number = sys.argv[1:]
    threading.Thread(target=_end_with_reader, args=(target,), daemon=True).start()
    os.nice(NICENESS)
    C.llama_log_set(_on_log, ctypes.c_void_p(0))
    C.llama_backend_init()
    params = C.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.max_buf_size = int(number), physical_cores(), ROWS_BYTES
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
        _say(f"progress {sum(_begun)}")
        _begun.append(math.prod(map(int, found[1].split(","))) * ELEMENT_BYTES.get(found[2], 1))


def _end_with_reader(target: str) -> None:
    """End this process, and remove what it has written, when nobody reads what it says any more.

    Not PR_SET_PDEATHSIG: that is sent at the end of the thread that started us, which may be one of a pool.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    poll.poll()
    Path(target).unlink(missing_ok=True)
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
