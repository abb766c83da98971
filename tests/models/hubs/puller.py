"""Pulls from a registry and prints each step, then its peak memory in bytes, as JSON lines. A program for tests."""

import sys
from pathlib import Path

import msgspec

from hoshikage.models.hubs.ollama import OllamaRegistry
from tests.program import peak_bytes


def main() -> None:
    for progress in OllamaRegistry(insecure=True).fetch(sys.argv[1], Path(sys.argv[2])):
        say(progress)
    say({"peak": peak_bytes()})


def say(line: object) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
