"""The real Open WebUI beside the real server, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from compat.clients.openwebui.page import Page, browser
from compat.clients.openwebui.server import LEAN, opened
from compat.clients.stock import stocked
from tests.program import Program

BRIEF = {"model": "brief", "from": "starter", "parameters": {"num_predict": 24}, "stream": False}


@pytest.fixture(scope="module")
def ollama(starter: Path, minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The server, with a `brief` besides, whose answers end soon."""
    with stocked(tmp_path_factory.mktemp("models") / "home", starter, minilm) as program:
        httpx.post(f"{program.url}/api/create", json=BRIEF, timeout=60).raise_for_status()
        yield program


@pytest.fixture(scope="module")
def page(ollama: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Open WebUI with the settings for a small model, before a user's eyes."""
    with opened(tmp_path_factory.mktemp("lean") / "webui", ollama.url, **LEAN) as url, browser() as driver:
        yield Page(driver, url)
