"""The projections as bytes, and that what has not changed is not made anew."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.models import mapfile
from hoshikage.models.registry import Registry
from hoshikage.models.tags import cards, tags
from hoshikage.models.truth import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "map.json", tmp_path / "cache.json", tmp_path / "ollama.json", tmp_path / "home")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "tiny.gguf")


def test_they_are_what_the_entries_say_after_every_change(files: Files, tiny: Path) -> None:
    registry = Registry(files)
    changes: list[Callable[[], object]] = [
        lambda: registry.add(tiny, "one"),
        lambda: registry.copy("one", "me/two"),
        lambda: registry.copy("me/two", "three:v1"),
        lambda: registry.remove("one"),
    ]
    for change in changes:
        change()
        assert files.tag_ollama.read_bytes() == registry.tags() == msgspec.json.encode(tags(registry.entries()))
        assert files.tag_cache.read_bytes() == registry.cards() == msgspec.json.encode(cards(registry.entries()))


def test_an_entry_that_has_not_changed_stays_the_same_object(files: Files, tiny: Path) -> None:
    registry = Registry(files)
    registry.add(tiny, "one")
    registry.copy("one", "two")
    first = registry.find("one")
    registry.copy("one", "three")
    assert registry.find("one") is first
    os.utime(tiny, ns=(1, 1))
    assert registry.find("one").stored.facts.mtime_ns == 1


def test_a_value_that_says_less_than_the_file_is_looked_at_again(files: Files, tiny: Path) -> None:
    raw: mapfile.Raw = {"one": {"path": str(tiny)}}
    before = {each.name: (raw[each.name], each) for each in mapfile.entries(raw, files.home)}
    [again] = mapfile.entries(raw, files.home, before)
    assert again is not before["one"][1]
    assert again == before["one"][1]
