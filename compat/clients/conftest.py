"""The real server as a program, for real clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.clients.stock import HANDY, stocked
from tests.conftest import minilm, server, starter
from tests.program import Program

__all__ = ["minilm", "server", "starter"]


@pytest.fixture(scope="session")
def stock(starter: Path, minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One server for all of them that need more than `starter`."""
    with stocked(tmp_path_factory.mktemp("stock") / "home", starter, minilm) as program:
        yield program


@pytest.fixture(scope="module")
def handy(stock: Program) -> Iterator[None]:
    """The model `handy`, for tools and thinking; gone afterwards, since it shares the engine of `starter`."""
    with stock.client() as client:
        client.post("/api/create", json=HANDY).raise_for_status()
        yield
        client.request("DELETE", "/api/delete", json={"model": "handy"}).raise_for_status()
