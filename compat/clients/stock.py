"""A server with all that the larger clients ask for, and how to see that it has stopped generating."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.program import Program, hoshikage, serve

LIMIT_SECONDS = 20


@contextlib.contextmanager
def stocked(home: Path, starter: Path, minilm: Path, **settings: str) -> Iterator[Program]:
    """A server with `starter`, and `minilm` for embeddings."""
    home.mkdir(parents=True, exist_ok=True)
    for model, name in ((starter, "starter"), (minilm, "minilm")):
        added = hoshikage(home, "add", str(model), name)
        assert added.returncode == 0, added.stderr
    with serve(home, None, **settings) as program:
        yield program


def running(program: Program) -> int:
    """How many generations run on the server."""
    models = httpx.get(f"{program.url}/v1/status", timeout=10).json()["models"]
    return sum(int(model.get("running", 0)) for model in models)


def until_idle(program: Program) -> None:
    """Wait until none runs."""
    until = time.monotonic() + LIMIT_SECONDS
    while running(program):
        assert time.monotonic() < until, "it goes on generating"
        time.sleep(0.05)
