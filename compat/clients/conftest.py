"""The real server as a program, for real clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.clients.stock import stocked
from tests.conftest import minilm, server, starter
from tests.program import Program

__all__ = ["minilm", "server", "starter"]


@pytest.fixture(scope="session")
def stock(starter: Path, minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One server for all that `make compat` adds."""
    with stocked(tmp_path_factory.mktemp("stock") / "home", starter, minilm) as program:
        yield program
