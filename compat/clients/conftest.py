"""The real server as a program, for real clients."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from compat.clients.stock import HANDY, stocked
from tests.conftest import minilm, server, starter
from tests.program import Program

__all__ = ["minilm", "server", "starter"]


@pytest.fixture(scope="session")
def stock(starter: Path, minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One server for all of them that need more than `starter`: with `minilm`, and `handy` for tools."""
    with stocked(tmp_path_factory.mktemp("stock") / "home", starter, minilm) as program:
        httpx.post(f"{program.url}/api/create", json=HANDY, timeout=60).raise_for_status()
        yield program
