"""LM Studio's tree, Hugging Face's cache and plain folders: names, shards, projectors, and what cannot be used."""

import os
import shutil
from pathlib import Path

import pytest

from fixtures.split_gguf import split
from fixtures.tiny_gguf import make_tiny
from hoshikage.models.names import parse
from hoshikage.models.stores import files
from hoshikage.models.stores.base import Found, Names, Store, part
from hoshikage.models.stores.folders import Folders
from hoshikage.models.stores.huggingface import HuggingFace
from hoshikage.models.stores.lm_studio import LmStudio
from tests.models.stores.trees import make_part

COMMIT, OTHER = "a" * 40, "b" * 40


def put(path: Path, source: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, path))


def cached(folder: Path, commit: str, name: str, source: Path) -> Path:
    """A file as huggingface_hub keeps it: a link from the snapshot into blobs."""
    blob = put(folder / "blobs" / f"{commit[:1]}-{name.replace('/', '-')}", source)
    link = folder / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return link


def names(store: Store) -> list[str]:
    found = [each.name for each in store.models()]
    assert [parse(name) for name in found]
    assert len({name.lower() for name in found}) == len(found)
    return sorted(found)


def by_name(store: Store) -> dict[str, Found]:
    return {each.name: each for each in store.models()}


def test_lm_studio_names_have_publisher_repository_and_quantization(tmp_path: Path, tiny: Path) -> None:
    put(tmp_path / "lmstudio-community/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf", tiny)
    put(tmp_path / "lmstudio-community/Qwen3-4B-GGUF/Qwen3-4B-Q8_0.gguf", tiny)
    put(tmp_path / "the.bloke/plain/model.gguf", tiny)
    put(tmp_path / "stray.gguf", tiny)
    found = by_name(LmStudio(tmp_path))
    short = "lmstudio-community/Qwen3-4B-GGUF"
    assert sorted(found) == [f"{short}:Q4_K_M", f"{short}:Q8_0", "lmstudio:F32", "the-bloke/plain:F32"]
    assert found[f"{short}:Q8_0"].model.origin == f"lmstudio:{short}/Qwen3-4B-Q8_0.gguf"
    assert not any(each.note for each in found.values())


def test_files_of_the_same_quantization_are_told_apart_by_their_names(tmp_path: Path, tiny: Path) -> None:
    for name in ("base-Q4_0", "chat-Q4_0", "other-Q8_0"):
        put(tmp_path / f"me/mixed/{name}.gguf", tiny)
    assert names(LmStudio(tmp_path)) == ["me/mixed:Q8_0", "me/mixed:base-Q4_0", "me/mixed:chat-Q4_0"]


def test_a_projector_beside_the_model_goes_with_it_and_is_no_model(tmp_path: Path, tiny: Path) -> None:
    put(tmp_path / "me/vision/gemma-3-Q4_K_M.gguf", tiny)
    for kind in ("F32", "F16"):
        make_part(tmp_path / f"me/vision/mmproj-gemma-3-{kind}.gguf", "mmproj")
    (found,) = LmStudio(tmp_path).models()
    assert (found.name, found.note) == ("me/vision:Q4_K_M", "")
    assert [Path(each).name for each in found.model.projectors] == ["mmproj-gemma-3-F16.gguf"]


def test_the_parts_of_a_model_count_once_and_a_missing_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "me/large"
    folder.mkdir(parents=True)
    parts = split(make_tiny(folder / "large-Q8_0.gguf"), 3)
    (folder / "large-Q8_0.gguf").unlink(missing_ok=True)
    size = sum(each.stat().st_size for each in parts)
    (found,) = LmStudio(tmp_path).models()
    assert (found.name, found.note, found.model.size) == ("me/large:Q8_0", "", size)
    assert found.model.path == str(parts[0])
    parts[1].unlink()
    (found,) = LmStudio(tmp_path).models()
    assert found.note == f"the file is missing: {parts[1]}"
    parts[0].unlink()
    (found,) = LmStudio(tmp_path).models()
    assert "part 3 of 3" in found.note


def test_the_snapshot_that_main_names_is_the_one(tmp_path: Path, tiny: Path) -> None:
    repo = tmp_path / "models--org--some-repo-GGUF"
    cached(repo, COMMIT, "m-Q4_K_M.gguf", tiny)
    link = cached(repo, OTHER, "sub/m-Q8_0.gguf", tiny)
    os.utime(repo / "snapshots" / OTHER, (1, 1))
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(OTHER)
    (found,) = HuggingFace(tmp_path).models()
    assert (found.name, found.note, found.model.path) == ("hf.co/org/some-repo-GGUF:Q8_0", "", str(link))
    assert found.model.origin == "hf-cache:org/some-repo-GGUF/sub/m-Q8_0.gguf"


@pytest.mark.parametrize("ref", [None, "../../../outside", "c" * 40, ""])
def test_without_a_usable_main_the_newest_snapshot_counts(tmp_path: Path, tiny: Path, ref: str | None) -> None:
    repo = tmp_path / "models--org--repo"
    cached(repo, COMMIT, "m-Q4_K_M.gguf", tiny)
    cached(repo, OTHER, "m-Q8_0.gguf", tiny)
    os.utime(repo / "snapshots" / OTHER, (1, 1))
    if ref is not None:
        (repo / "refs").mkdir()
        (repo / "refs/main").write_text(ref)
    (tmp_path / "datasets--org--data/snapshots").mkdir(parents=True)
    assert names(HuggingFace(tmp_path)) == ["hf.co/org/repo:Q4_K_M"]


def test_a_deleted_blob_and_a_link_out_of_the_cache_are_noted(tmp_path: Path, tiny: Path) -> None:
    repo = tmp_path / "hub/models--org--repo"
    cached(repo, COMMIT, "m-Q4_K_M.gguf", tiny).resolve().unlink()
    (repo / "snapshots" / COMMIT / "m-Q8_0.gguf").symlink_to(tiny)
    notes = {name: each.note for name, each in by_name(HuggingFace(tmp_path / "hub")).items()}
    assert notes["hf.co/org/repo:Q4_K_M"].startswith("the file is missing")
    assert notes["hf.co/org/repo:Q8_0"] == "it is a link out of the cache"


def test_old_repositories_without_an_organisation_have_a_name(tmp_path: Path, tiny: Path) -> None:
    cached(tmp_path / "models--gpt2", COMMIT, "gpt2-F16.gguf", tiny)
    assert names(HuggingFace(tmp_path)) == ["hf.co/library/gpt2:F16"]


def test_plain_folders_give_each_file_a_valid_name_once(tmp_path: Path, tiny: Path) -> None:
    for name in ("星影-7B 試作.Q4_0", "星影", "a/same", "b/same", "b/SAME", "x" * 120, ".hidden"):
        put(tmp_path / f"{name}.gguf", tiny)
    found = names(Folders(tmp_path))
    assert found == sorted(["7B-.Q4_0", "model-859d4d47", "same", "SAME-2", "same-3", "x" * 80])


def test_a_projector_in_a_folder_of_many_models_goes_only_with_its_namesake(tmp_path: Path, tiny: Path) -> None:
    for name in ("gemma-3-4b-Q4_K_M", "qwen-Q8_0"):
        put(tmp_path / f"{name}.gguf", tiny)
    make_part(tmp_path / "mmproj-gemma-3-4b-F16.gguf", "mmproj")
    make_part(tmp_path / "mmproj-F16.gguf", "mmproj")
    found = by_name(Folders(tmp_path))
    assert [Path(each).name for each in found["gemma-3-4b-Q4_K_M"].model.projectors] == ["mmproj-gemma-3-4b-F16.gguf"]
    assert found["qwen-Q8_0"].model.projectors == ()


def test_loops_of_links_and_files_that_are_no_models_do_no_harm(tmp_path: Path, tiny: Path) -> None:
    put(tmp_path / "in/model.gguf", tiny)
    (tmp_path / "in/loop").symlink_to(tmp_path)
    (tmp_path / "in/self").symlink_to("self")
    (tmp_path / "in/text.gguf").write_text("no model")
    os.mkfifo(tmp_path / "in/pipe.gguf")
    found = by_name(Folders(tmp_path))
    assert sorted(found) == ["model", "pipe", "text"]
    assert [name for name, each in found.items() if not each.note] == ["model"]


def test_what_lies_too_deep_or_is_too_much_is_said(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path.joinpath(*["d"] * (files.DEPTH + 1), "deep.gguf"), tiny)
    assert [each.note for each in Folders(tmp_path).models()] == [f"folders more than {files.DEPTH} deep are left out"]
    monkeypatch.setattr(files, "ENTRIES", 3)
    assert [each.note for each in Folders(tmp_path).models()] == ["it has more than 3 files; the rest is left out"]


def test_a_root_that_is_a_file_is_noted_and_one_that_is_not_there_is_empty(tiny: Path) -> None:
    (found,) = Folders(tiny).models()
    assert found.note == "the folder cannot be read: Not a directory"
    assert list(Folders(tiny.parent / "nowhere").models()) == []


@pytest.mark.parametrize("text", ["", "...", "日本", "a" * 200, "-x", "a b/c", "\udcff", "é"])
def test_any_text_becomes_a_part_of_a_name(text: str) -> None:
    assert parse(f"{part(text, dots=False)}/{part(text)}:{part(text)}")


def test_a_name_that_was_given_is_numbered_within_its_length() -> None:
    taken = Names()
    long = "x" * 80
    assert [taken.take(f"a:{long}") for _ in range(2)] == [f"a:{long}", f"a:{'x' * 78}-2"]
    assert [taken.take("B"), taken.take("b:latest")] == ["B", "b:latest-2"]
