"""Runs what is to be done with the JavaScript client by node."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.program import Program

HERE = Path(__file__).parent
Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def ask(stock: Program) -> Ask:
    """Runs one of the cases; its result."""
    assert (HERE / "node_modules/ollama").is_dir(), "the client is not installed: run `make compat`"

    def run(case: str) -> Any:
        command = ["node", str(HERE / "cases.mjs"), stock.url, case]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
