"""Writes a model in a smaller type, in a process of its own that can be ended at any time. Never imports llama_cpp.

What is being written has a name of its own beside the target and is locked, so that what a killed process left is told
from what another one is writing.
"""

import fcntl
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hoshikage import atomic
from hoshikage.errors import QuantizeFailed, RequestError
from hoshikage.processes import group, lines

KINDS = {
    "F32": 0,
    "F16": 1,
    "Q4_K_S": 14,
    "Q4_K_M": 15,
    "Q8_0": 7,
    "BF16": 32,
    "Q4_K": 15,
    "Q2_K": 10,
    "Q3_K_S": 11,
    "Q3_K_M": 12,
    "Q3_K_L": 13,
    "Q4_0": 2,
    "Q4_1": 3,
    "Q5_0": 8,
    "Q5_1": 9,
    "Q5_K_S": 16,
    "Q5_K_M": 17,
    "Q6_K": 18,
    "IQ3_S": 26,
    "IQ3_M": 27,
    "IQ4_NL": 25,
    "IQ4_XS": 30,
}
"""llama.cpp's file types (`llama_ftype`) that need no importance matrix, by name; Ollama's own first."""
FIRST_SHARD = re.compile(r"(.+)-00001-of-(\d{5})\.gguf", re.DOTALL)
TELL_SECONDS = 0.2
"""Most time between two figures, and so until a generator can be closed."""
PARTIAL = ".quantizing"
CHILD = (sys.executable, "-m", "hoshikage.engine.llama.quantizer")


def quantize(source: Path, target: Path, kind: str) -> Generator[tuple[int, int], None, None]:
    """Write the model `source`, of type F32, F16 or BF16, to `target` in the type `kind` (a name in KINDS, any case).

    Yields bytes of the source done and all of them, at least every TELL_SECONDS; of a split model `source` is the
    first shard. `target` is there when the generator has ended by itself; closing it ends the process and leaves
    nothing. Raises RequestError at once if the kind is unknown, QuantizeFailed from the generator.
    """
    return _written(source, target, number_of(kind))


def number_of(kind: str) -> int:
    """llama.cpp's number of the type. Raises RequestError in Ollama's words."""
    if (number := KINDS.get(kind.upper())) is None:
        reason = f"unsupported quantization type {kind.upper()} - supported types are {', '.join(KINDS)}"
        raise RequestError(reason=reason)
    return number


def _written(source: Path, target: Path, number: int) -> Generator[tuple[int, int], None, None]:
    try:
        total = sum(path.stat().st_size for path in _shards(source))
    except OSError as error:
        raise QuantizeFailed(reason=f"{error.filename}: {error.strerror}") from error
    try:
        _sweep(target.parent)
        with _partial(target.parent) as partial:
            yield from _run(source, partial, number, total)
            partial.replace(target)
            atomic.sync_folder(target.parent)
    except OSError as error:
        raise QuantizeFailed(reason=f"{target}: {error.strerror}") from error


def _shards(source: Path) -> list[Path]:
    """All files of a split model by the name of its first, as llama.cpp names them; else the file alone."""
    named = FIRST_SHARD.fullmatch(source.name)
    if named is None:
        return [source]
    return [source.with_name(f"{named[1]}-{number:05}-of-{named[2]}.gguf") for number in range(1, int(named[2]) + 1)]


def _run(source: Path, partial: Path, number: int, total: int) -> Generator[tuple[int, int], None, None]:
    """The child's figures. Raises QuantizeFailed if it has not said at the end that all is done."""
    environ = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    last, done = "", 0
    with group([*CHILD, str(source), str(partial), str(number)], environ, subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  it was asked for
        yield done, total
        for line in lines(process.stdout, TELL_SECONDS):
            match line.split():
                case ["progress", figure]:
                    done = min(int(figure), total)
                case ["done"]:
                    yield total, total
                    return
                case []:
                    pass
                case _:
                    last = line.removeprefix("failed ")
            yield done, total
        raise QuantizeFailed(reason=last or _ending(process.wait()))


def _ending(code: int) -> str:
    if code >= 0:
        return f"its process ended with code {code}"
    return f"its process was ended by {signal.Signals(-code).name}"


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """An empty locked file in the folder, which is removed in the end unless it has got another name."""
    path = folder / f".{secrets.token_hex(8)}{PARTIAL}"
    file = _locked(path)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _locked(path: Path) -> int:
    """A descriptor of the file with its lock; a sweep may have taken it away before it was locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with suppress(OSError):  # a file system without locks: nothing is swept there
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return file
        os.close(file)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left in the folder: partial files that nobody holds the lock of."""
    for path in folder.glob(f".*{PARTIAL}"):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
