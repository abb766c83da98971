"""What the registry looks at on the disk, and when."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.models import looks, registry
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files

NAMES = [f"model-{number}" for number in range(20)]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A home with twenty models, each with a file of its own."""
    found = Files(tmp_path / "map.json", tmp_path / "cache.json", tmp_path / "ollama.json", tmp_path / "home")
    tiny = make_tiny(tmp_path / "tiny.gguf")
    for name in NAMES:
        (tmp_path / f"{name}.gguf").symlink_to(tiny)
    found.model_map.write_text(json.dumps({name: str(tmp_path / f"{name}.gguf") for name in NAMES}))
    return found


def looked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Fills as files are looked at."""
    seen: list[Path] = []

    def look(path: Path) -> looks.Look:
        seen.append(path)
        return path.stat()

    monkeypatch.setattr(looks, "look", look)
    monkeypatch.setattr(registry, "look", look)
    return seen


def test_of_the_models_only_the_one_that_is_asked_for_is_looked_at(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Registry(files)
    opened.entries()
    seen = looked(monkeypatch)
    found = opened.find("model-7")
    assert seen == [files.model_map, files.tag_cache, files.tag_ollama, found.file]


def test_lists_that_follow_each_other_look_at_the_models_once(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LOOK_SECONDS", 3600)
    opened = Registry(files)
    opened.tags()
    seen = looked(monkeypatch)
    for _ in range(5):
        opened.tags()
    assert seen == [files.model_map, files.tag_cache, files.tag_ollama] * 5


def test_a_list_tells_of_a_file_that_was_replaced(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LOOK_SECONDS", 0)
    opened = Registry(files)
    before = opened.tags()
    make_tiny(opened.find("model-7").file, chat_template="x" * 5000)
    assert opened.tags() != before
    assert opened.tags() == files.tag_ollama.read_bytes()


@contextmanager
def held(files: Files) -> Iterator[None]:
    """The lock is held by another thread, which a lock takes for another process."""
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        with Registry(files).locked():
            begun.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_reader_waits_for_no_lock_and_brings_the_projections_in_step_when_it_is_free(files: Files) -> None:
    opened = Registry(files)
    opened.entries()
    with held(files):
        raw = json.loads(files.model_map.read_bytes())
        files.model_map.write_text(json.dumps({**raw, "new": raw["model-7"]}))
        assert opened.find("new").name == "new"
        assert b'"new"' not in files.tag_cache.read_bytes()
        assert opened.changed
    opened.entries()
    assert b'"new"' in files.tag_cache.read_bytes()
    assert not opened.changed
