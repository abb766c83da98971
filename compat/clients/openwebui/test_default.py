"""Open WebUI as it comes: 36 tools with every message, and a title, tags and questions asked for besides."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from compat.clients.openwebui.page import Page, browser
from compat.clients.openwebui.relay import Relay, relayed
from compat.clients.openwebui.server import opened
from compat.clients.stock import PROMPT, stocked

pytestmark = pytest.mark.timeout(1200)
PATIENCE = 500
"""Seconds for a first answer: some 6500 tokens of tools are read, on two cores that others may use too."""

CHATS_ONLY = {f"ENABLE_{each}_GENERATION": "False" for each in ("TITLE", "TAGS", "FOLLOW_UP")}


@pytest.fixture(scope="module")
def relay(starter: Path, minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """Before a server with a `handy` model, which is told of tools and whose answers end soon."""
    with stocked(tmp_path_factory.mktemp("models") / "home", starter, minilm) as program:
        httpx.post(f"{program.url}/api/create", json=PROMPT, timeout=60).raise_for_status()
        with relayed(program.url) as relay:
            yield relay


@pytest.mark.parametrize("settings", [CHATS_ONLY, {}], ids=["chats only", "titles too"])
def test_with_all_its_tools_the_second_turn_is_cached(relay: Relay, tmp_path: Path, settings: dict[str, str]) -> None:
    relay.chats.clear()
    with opened(tmp_path / "webui", relay.url, **settings) as url, browser() as driver:
        page = Page(driver, url)
        page.open()
        page.choose("handy:latest")
        answers = [page.ask("Say hello.", PATIENCE), page.ask("Thank you.", PATIENCE)]
        page.picture("default-with-titles" if not settings else "default-chats-only")
    (first, _), (second, end) = relay.with_tools()
    assert all(answers)
    assert [len(asked["tools"]) for asked in (first, second)] == [36, 36]
    assert end["prompt_eval_count"] > 5000
    assert end["prompt_eval_cached_count"] >= 0.9 * end["prompt_eval_count"]
