"""What tests share: real models, a home with the starter, and the real server as a program."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.minilm_gguf import make_minilm
from hoshikage.models.hubs.package_index import PackageIndex
from tests.program import RAMDISKS, Program, serve


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hoshikage" / "test-models"


def pulled(name: str) -> Path:
    """The model, pulled through the real hub once per machine."""
    hub, folder = PackageIndex(), cache_folder()
    for _ in hub.fetch(name, folder):
        pass
    return Path(hub.plan(name, folder).model.path)


@pytest.fixture(scope="session", autouse=True)
def ramdisks() -> Iterator[None]:
    """None is left in memory."""
    yield
    for folder in RAMDISKS:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def starter() -> Path:
    return pulled("starter")


@pytest.fixture(scope="session")
def gemma() -> Path:
    """Gemma 3 270M: a base model with sliding-window layers and without a chat template, 253 MB."""
    return pulled("gemma3-270m")


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
