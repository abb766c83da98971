"""A worker seen and ended from outside: frozen, looked at, then killed or left without memory. It has no part in it."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.crash.rounds import Manner

WORKER = b"hoshikage.engine.worker"
DIES_SECONDS, STARVES_SECONDS = 10.0, 4.0
"""A signal ends a worker at once; without memory it ends with its next allocation."""
ARRIVES_SECONDS = 0.05
"""What needs memory is under way to a frozen worker for so long, so that it meets it in the stage."""
SIGNALS = {Manner.KILL: signal.SIGKILL, Manner.SEGV: signal.SIGSEGV, Manner.ABRT: signal.SIGABRT}


class Missed(Exception):
    """The worker was not in the stage any more, or did not die there: the round is repeated."""


def until(found: Callable[[], object], why: str, seconds: float = 60.0) -> None:
    """Look until it is found. Raises Missed."""
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            raise Missed(why)
        time.sleep(0.0005)


def children(pid: int) -> set[int]:
    """The processes that a process has started, dead ones that it has not noticed among them."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for each in lists for child in _text(each).split()}


def workers(pid: int) -> set[int]:
    """Those of its children that are workers; a child that is no program yet is none."""
    return {child for child in children(pid) if WORKER in _bytes(Path(f"/proc/{child}/cmdline"))}


def state(pid: int) -> str:
    """R, S, T, Z…; nothing if it is gone."""
    return _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].strip()[:1]


def maps(pid: int) -> str:
    return _text(Path(f"/proc/{pid}/maps"))


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def freeze(pid: int) -> None:
    """Stop it where it is. Raises Missed if it has ended."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        raise Missed("it has ended") from None
    until(lambda: state(pid) in {"T", "Z", ""}, "it does not stop")


def thaw(pid: int) -> None:
    """Let it go on, unless it has ended: kill -9 reaches what is frozen, too."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def die(pid: int, manner: Manner, nudge: AbstractContextManager[None]) -> None:
    """End a frozen worker; `nudge` makes one that has no memory left need some. Returns when nothing is left of it."""
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    if manner is Manner.OOM:
        _starve(pid, nudge)
        return
    os.kill(pid, SIGNALS[manner])
    thaw(pid)
    until(lambda: gone(pid), "it has survived a signal", DIES_SECONDS)


def _starve(pid: int, nudge: AbstractContextManager[None]) -> None:
    """No heap grows any more. RLIMIT_AS does not do that: each thread's arena has 64 MB of addresses reserved."""
    resource.prlimit(pid, resource.RLIMIT_DATA, (used(pid, "VmData"), resource.RLIM_INFINITY))
    with nudge:
        time.sleep(ARRIVES_SECONDS)
        thaw(pid)
        try:
            until(lambda: gone(pid), "it needs no memory", STARVES_SECONDS)
        except Missed:
            resource.prlimit(pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            raise


def used(pid: int, what: str) -> int:
    """Bytes, by a name of /proc/PID/status."""
    return int(_text(Path(f"/proc/{pid}/status")).split(f"{what}:")[1].split()[0]) * 1024


def _text(path: Path) -> str:
    return _bytes(path).decode(errors="replace")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
