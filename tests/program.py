"""Runs `hoshikage` as a program, in a home and a runtime folder of its own."""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

URL = re.compile(r"http://127\.0\.0\.1:\d+")
STOP_SECONDS = 15
RAMDISKS: set[Path] = set()
"""Removed when the tests are over: servers that were killed leave theirs."""


@dataclass(frozen=True)
class Program:
    """A running server: where it listens, its home, and its process."""

    url: str
    home: Path
    process: "subprocess.Popen[str]"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

    def listed(self) -> dict[str, dict[str, Any]]:
        """What /api/ps tells, by name."""
        return {each["name"]: each for each in httpx.get(f"{self.url}/api/ps", timeout=5).json()["models"]}

    def until_gone(self, name: str = "starter:latest") -> None:
        """Wait until the process of a model that was unloaded has ended."""
        while name in self.listed():
            time.sleep(0.02)

    def worker_pid(self, name: str = "starter") -> int | None:
        models = httpx.get(f"{self.url}/v1/status").json()["models"]
        return next((int(model["pid"]) for model in models if model["name"] == name), None)


def ramdisk_of(home: Path) -> Path:
    """A RAM disk of the home's own, in shared memory: no test mounts anything outside a namespace of its own."""
    made = Path("/dev/shm") / f"hoshikage-test-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    RAMDISKS.add(made)
    return made


def environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment with settings of the tests' own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "HOSHIKAGE_", "LC_"))}
    own = {
        "HOSHIKAGE_HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "LEGACY_PORT": "off",
        "LANG": "ja_JP.UTF-8",
        "RAMDISK_PATH": str(ramdisk_of(home)),
    }
    return {**kept, **own, "PYTHONUNBUFFERED": "1", **more}


def hoshikage(home: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    command = [sys.executable, "-m", "hoshikage", *arguments]
    return subprocess.run(
        command, env=environment(home, **more), capture_output=True, text=True, check=False, timeout=100
    )


@contextlib.contextmanager
def serve(home: Path, model: Path | None = None, *, within: Sequence[str] = (), **more: str) -> Iterator[Program]:
    """A server on a free port, with `model` as `starter`, in what the command `within` makes; ended by SIGTERM."""
    home.mkdir(parents=True, exist_ok=True)
    if model:
        added = hoshikage(home, "add", str(model), "starter")
        assert added.returncode == 0, added.stderr
    command = [*within, sys.executable, "-m", "hoshikage", "serve", "--port", "0"]
    log = (home / "serve.log").open("w", encoding="utf-8")
    with (
        log,
        subprocess.Popen(
            command, env=environment(home, **more), stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield Program(first_url(process.stdout), home, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            process.wait(STOP_SECONDS)


def peak_bytes() -> int:
    """The most memory this process has had. Not getrusage's, which begins with what the parent had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def first_url(lines: Iterator[str]) -> str:
    for line in lines:
        if found := URL.search(line):
            return found[0]
    raise AssertionError("the server ended before it served")
