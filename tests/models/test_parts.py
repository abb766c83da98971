"""Models of more than one file in the registry: shards, adapters, a projector, a draft."""

from pathlib import Path

import gguf
import pytest

from fixtures.split_gguf import split
from fixtures.tiny_gguf import make_tiny
from fixtures.tiny_lora import make_lora
from hoshikage.errors import FileMissing, NotGguf
from hoshikage.models.disposal import delete
from hoshikage.models.entry import Stored
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    models = tmp_path / "models"
    models.mkdir()
    return Registry(Files(models / "model_map.json", models / "tags_cache.json", models / "tags_ollama.json", tmp_path))


@pytest.fixture
def tiny(registry: Registry) -> Path:
    return make_tiny(registry.files.models / "tiny.gguf")


def make_projector(path: Path) -> Path:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_shards_are_one_model_of_their_whole_size(registry: Registry, tiny: Path) -> None:
    whole, paths = registry.add(tiny, "whole"), split(tiny, 3)
    entry = registry.register("parts", Stored(path=str(paths[0]), fetched=True))
    assert entry.files == tuple(paths)
    assert entry.stored.facts.parameter_size == whole.stored.facts.parameter_size
    assert sum(path.stat().st_size for path in paths) < entry.size < whole.size + 10_000
    assert delete(registry, "parts").deleted == tuple(paths)


def test_a_shard_that_goes_makes_the_model_missing_and_is_named(registry: Registry, tiny: Path) -> None:
    paths = split(tiny, 3)
    registry.add(paths[0], "parts")
    paths[2].unlink()
    assert (registry.find("parts").missing, registry.find("parts").lost) == (True, paths[2])
    with pytest.raises(FileMissing, match="00003-of-00003"):
        registry.add(paths[0], "again")


def test_a_further_shard_is_not_the_model(registry: Registry, tiny: Path) -> None:
    with pytest.raises(NotGguf, match="name the first, tiny-00001-of-00003"):
        registry.add(split(tiny, 3)[1], "parts")


def test_the_files_beside_the_weights_are_checked_and_counted(registry: Registry, tiny: Path, tmp_path: Path) -> None:
    lora, projector = make_lora(tmp_path / "lora.gguf"), make_projector(tmp_path / "mmproj.gguf")
    draft = make_tiny(tmp_path / "draft.gguf")
    model = Stored(path=str(tiny), adapters=(str(lora),), projectors=(str(projector),), draft=str(draft))
    entry = registry.register("all", model)
    assert entry.files == (tiny, lora, projector, draft)
    assert entry.size > sum(path.stat().st_size for path in entry.files)


@pytest.mark.parametrize("field", ["adapters", "projectors"])
def test_a_model_is_no_part_of_another(registry: Registry, tiny: Path, field: str) -> None:
    with pytest.raises(NotGguf, match="it is a model, not a"):
        registry.register("x", Stored(path=str(tiny), **{field: (str(tiny),)}))  # type: ignore[arg-type]
