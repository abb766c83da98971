"""The session's server, and one that answers strictly as Ollama does."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.program import Program, serve


@pytest.fixture
def client(server: Program) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


@pytest.fixture(scope="session")
def strict_server(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with serve(tmp_path_factory.mktemp("strict"), starter, OLLAMA_STRICT="1") as program:
        yield program


@pytest.fixture
def strict(strict_server: Program) -> Iterator[httpx.Client]:
    with strict_server.client() as made:
        yield made
