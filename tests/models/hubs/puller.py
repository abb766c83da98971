"""Pulls from a registry and prints each step, then its peak memory in bytes, as JSON lines. A program for tests."""

import re
import sys
from pathlib import Path

import msgspec

from hoshikage.models.hubs.ollama import OllamaRegistry


def main() -> None:
    for progress in OllamaRegistry(insecure=True).fetch(sys.argv[1], Path(sys.argv[2])):
        say(progress)
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    say({"peak": int(found[1]) * 1024})


def say(line: object) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
