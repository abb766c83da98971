"""A program in a process group of its own, of which nothing is left afterwards. Standard library only.

make runs this before anything is installed. It knows neither pip nor compilers.
"""

import os
import selectors
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

CHUNK_BYTES = 1 << 16
END_SECONDS = 5.0
"""How long a program that was asked to end may take to clean up."""
PRIVATE = frozenset({"HOSHIKAGE_API_KEYS", "HOSHIKAGE_API_KEY", "OLLAMA_API_KEY", "NOTIFY_SOCKET"})


def for_children(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for processes of the server's own: without what is for the server alone, keys before all."""
    return {name: value for name, value in environ.items() if name not in PRIVATE}


@contextmanager
def group(
    command: Sequence[str], environ: Mapping[str, str], out: int | IO[bytes]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program without input, its two outputs going to `out`; leaving the block ends it and its children."""
    process = subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        _end(process)
        if process.stdout:
            process.stdout.close()


def lines(pipe: IO[bytes], quiet_seconds: float) -> Iterator[str]:
    """What a program says, stripped, as it comes, and an empty line whenever it has said nothing for so long."""
    rest = b""
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while True:
            if not ready.select(quiet_seconds):
                yield ""
                continue
            chunk = os.read(pipe.fileno(), CHUNK_BYTES)
            if not chunk:
                break
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace").strip() for line in whole)
    yield rest.decode(errors="replace").strip()


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    with suppress(ProcessLookupError, PermissionError):  # macOS: a group of which only zombies are left
        os.killpg(process.pid, signal.SIGKILL)  # those too that did not listen
    process.wait()
