"""Deleting takes what was fetched for a model alone, and nothing else."""

import errno
import os
import time
from pathlib import Path

import msgspec
import pytest

from fixtures.tiny_gguf import make_tiny
from fixtures.tiny_lora import make_lora
from hoshikage import atomic
from hoshikage.errors import FileMissing, ModelNotFound
from hoshikage.models.disposal import delete, prune
from hoshikage.models.entry import Stored
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    models = tmp_path / "models"
    return Registry(Files(models / "model_map.json", models / "tags_cache.json", models / "tags_ollama.json", tmp_path))


def fetched(registry: Registry, name: str) -> Path:
    registry.files.models.mkdir(exist_ok=True)
    file = make_tiny(registry.files.models / f"{name}.gguf")
    registry.register(name, Stored(path=str(file), fetched=True, origin="test"))
    return file


def test_a_fetched_file_goes_with_its_last_name(registry: Registry) -> None:
    file = fetched(registry, "a")
    registry.copy("a", "b")
    assert delete(registry, "a").kept == (file,)
    assert delete(registry, "b").deleted == (file,)
    assert not file.exists()
    with pytest.raises(ModelNotFound):
        delete(registry, "b")


def test_a_foreign_file_stays_wherever_it_lies(registry: Registry, tmp_path: Path) -> None:
    mine = make_tiny(tmp_path / "mine.gguf")
    registry.add(mine, "mine")
    inside = make_tiny(registry.files.models / "added.gguf")
    registry.add(inside, "added")
    assert (delete(registry, "mine").kept, delete(registry, "added").kept) == ((mine,), (inside,))


def test_a_link_out_of_our_folder_is_not_followed(registry: Registry, tmp_path: Path) -> None:
    mine = make_tiny(tmp_path / "mine.gguf")
    link = registry.files.models / "link.gguf"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(mine)
    registry.register("a", Stored(path=str(link), fetched=True))
    assert delete(registry, "a").deleted == ()
    assert mine.exists()


def test_only_old_uploads_without_a_model_are_pruned(registry: Registry, tmp_path: Path) -> None:
    blobs = registry.files.blobs
    blobs.mkdir()
    used, old, new = (make_tiny(blobs / f"sha256-{digit * 64}") for digit in "abc")
    registry.add(used, "a")
    for path in (used, old):
        os.utime(path, (time.time() - 7200,) * 2)
    prune(registry)
    assert (used.exists(), old.exists(), new.exists()) == (True, False, True)


def test_what_cannot_be_pruned_does_not_keep_the_rest(registry: Registry) -> None:
    blobs = registry.files.blobs
    blobs.mkdir()
    (blobs / f"sha256-{'a' * 64}").symlink_to(blobs / "nowhere")
    (blobs / f"sha256-{'b' * 64}").mkdir()
    lock, old = blobs / f"sha256-{'c' * 64}.lock", make_tiny(blobs / f"sha256-{'d' * 64}")
    lock.touch()
    for path in (blobs / f"sha256-{'b' * 64}", lock, old):
        os.utime(path, (time.time() - 7200,) * 2)
    prune(registry)
    assert (old.exists(), lock.exists()) == (False, True)


def test_on_a_full_disk_the_file_goes_before_the_map_is_written(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fetched(registry, "a")
    with monkeypatch.context() as full:
        full.setattr(atomic, "write", refuse)
        with pytest.raises(OSError, match="No space"):
            delete(registry, "a")
    assert (file.exists(), registry.find("a").missing) == (False, True)
    assert delete(registry, "a").deleted == ()
    assert registry.entries() == ()


def refuse(_path: Path, _data: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_deleted_while_a_second_model_of_it_is_made_is_told(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fetched(registry, "a")
    checked = registry._checked

    def slowly(model: Stored) -> object:
        found = checked(model)
        delete(Registry(registry.files), "a")
        return found

    monkeypatch.setattr(registry, "_checked", slowly)
    with pytest.raises(FileMissing):
        registry.register("b", Stored(path=str(file)))
    assert Registry(registry.files).entries() == ()


def test_a_copy_has_the_same_digest_and_outlives_its_source(registry: Registry, tmp_path: Path) -> None:
    source = registry.add(make_tiny(tmp_path / "x.gguf"), "a")
    copied = registry.copy("A:latest", "me/b:v1")
    registry.remove("a")
    assert (copied.digest, copied.file) == (source.digest, source.file)
    assert registry.find("ME/B:V1").digest == source.digest


def test_an_adapter_that_the_user_put_among_the_models_stays(registry: Registry) -> None:
    file = fetched(registry, "base")
    lora = make_lora(registry.files.models / "mine-lora.gguf")
    stored = registry.find("base").stored
    registry.register("tuned", msgspec.structs.replace(stored, adapters=(str(lora),)))
    registry.remove("base")
    assert delete(registry, "tuned").deleted == (file,)
    assert lora.exists()


def test_a_file_that_another_entry_names_by_another_path_stays(registry: Registry) -> None:
    file = fetched(registry, "a")
    registry.add(file.parent / ".." / file.parent.name / file.name, "b")
    assert delete(registry, "a").deleted == ()
