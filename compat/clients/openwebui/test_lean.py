"""Open WebUI as a user of a small model has it: all that its page can do with an Ollama server."""

from pathlib import Path

import pytest

from compat.clients.openwebui.page import Page
from compat.clients.stock import running, until_idle
from tests.program import Program

pytestmark = pytest.mark.timeout(400)
LIGHTHOUSE = "The lighthouse of Marram Point was built in 1871 by Ada Fenwick. Its lamp is green."
NOWHERE = "pypi:no-such-package/x.gguf"


def test_a_model_is_chosen_and_answers_twice(page: Page) -> None:
    page.open()
    assert {"brief:latest", "minilm:latest", "starter:latest"} <= set(page.listed())
    page.choose("brief:latest")
    page.picture("lean-1-chosen")
    first, second = page.ask("Say hello."), page.ask("And in French?")
    page.picture("lean-2-two-turns")
    assert page.answers() == [first, second]
    assert not page.notices()


def test_stop_ends_the_generation_and_keeps_the_text(page: Page, ollama: Program) -> None:
    page.open()
    page.choose("starter:latest")
    page.send("Tell me a very long story about a river.")
    page.until(lambda: page.answers() and len(page.answers()[-1]) > 80)
    assert running(ollama)
    page.stop()
    page.picture("lean-3-stopped")
    until_idle(ollama)
    assert len(page.answers()[-1]) > 80


def test_an_error_is_shown_in_the_servers_words(page: Page) -> None:
    page.open()
    page.choose("minilm:latest")
    page.send("Hi")
    page.told("error", '"minilm:latest" does not support chat')
    page.picture("lean-4-error")
    assert '"minilm:latest" does not support chat' in page.answers()[-1]


def test_a_file_is_embedded_and_its_text_found(page: Page, ollama: Program, tmp_path: Path) -> None:
    file = tmp_path / "lighthouse.txt"
    file.write_text(LIGHTHOUSE)
    page.open()
    page.choose("brief:latest")
    page.attach(file)
    answer = page.ask("Who built the lighthouse?")
    page.picture("lean-5-file")
    assert "1 Source" in answer
    assert "minilm:latest" in ollama.listed()


def test_eject_unloads_the_models(page: Page, ollama: Program) -> None:
    page.open()
    page.choose("brief:latest")
    page.ask("Say hello.")
    loaded = set(ollama.listed())
    page.eject()
    page.told("success", "Model unloaded successfully")
    page.picture("lean-6-ejected")
    page.until(lambda: len(ollama.listed()) == len(loaded) - 1)


def test_a_pull_that_cannot_be_says_why(page: Page) -> None:
    page.manage()
    page.pull(NOWHERE)
    page.told("error", NOWHERE)
    page.picture("lean-7-pull-error")


def test_a_model_is_pulled_with_its_progress_and_deleted(page: Page, ollama: Program) -> None:
    page.manage()
    page.pull("gemma3-270m")
    page.until(page.percent)
    page.picture("lean-8-progress")
    page.told("success", "'gemma3-270m' has been successfully downloaded")
    page.picture("lean-9-pulled")
    page.manage()  # the box lists the models that there were when it was opened
    page.delete("gemma3-270m:latest")
    page.told("success", "Deleted gemma3-270m:latest")
    page.picture("lean-10-deleted")
    with ollama.client() as client:
        assert "gemma3-270m" not in client.get("/api/tags").text
