"""Reads mutants of a GGUF file under a memory limit and says what came of each kind. A program for test_gguf_mutants.

Arguments: the file, a folder for a mutant, how many. The header cut at every length comes on top.
"""

import json
import os
import resource
import signal
import sys
from collections import Counter
from pathlib import Path

from hoshikage.errors import NotGguf
from hoshikage.models.gguf import read_header
from tests.models.mutants import mutant, taken_apart

SPARE_BYTES = 128 * 1024 * 1024
SLOW_SECONDS = 1.0


class Watchdog:
    """Counts the mutants that took longer than a second of this process's time, and names the one it is at."""

    def __init__(self) -> None:
        self.slow: set[str] = set()
        self.at = ""
        signal.signal(signal.SIGPROF, lambda _signal, _frame: self.slow.add(self.at))

    def watch(self, name: str) -> None:
        self.at = name
        signal.setitimer(signal.ITIMER_PROF, SLOW_SECONDS)


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def answer(path: Path) -> str:
    """What the reader says; whatever is no answer is named by its class."""
    try:
        read_header(path)
    except NotGguf:
        return "refused"
    except BaseException as error:  # that is what is counted
        return type(error).__name__
    return "accepted"


def main() -> None:
    model, folder, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    data, watchdog, found, accepted = model.read_bytes(), Watchdog(), Counter[str](), list[int]()
    parts, path = taken_apart(data), folder / "mutant.gguf"
    limit_memory()
    for number in range(count):
        kind, changed = mutant(parts, number)
        path.write_bytes(changed)
        watchdog.watch(f"{kind} {number}")
        said = answer(path)
        found[f"{kind} {said}"] += 1
        accepted += [number] if said == "accepted" and changed != data else []
    path.write_bytes(data)
    for length in range(len(data) - len(parts.data), -1, -1):
        os.truncate(path, length)
        watchdog.watch(f"truncated to {length}")
        found[f"truncated {answer(path)}"] += 1
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.write(json.dumps({"found": found, "slow": sorted(watchdog.slow), "accepted": accepted}))


if __name__ == "__main__":
    main()
