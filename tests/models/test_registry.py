"""The registry and its projections, on real files."""

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.errors import ModelNotFound, NameTaken, NotGguf, RegistryCorrupt
from hoshikage.models.digests import sample_digest
from hoshikage.models.manifest import place
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    models = tmp_path / "home/models"
    return Files(models / "model_map.json", models / "tags_cache.json", models / "tags_ollama.json", tmp_path / "home")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "tiny.gguf")


def test_a_model_is_found_by_either_form_in_any_case(files: Files, tiny: Path) -> None:
    Registry(files).add(tiny, "Tiny")
    for name in ("tiny", "TINY:latest", "Tiny"):
        assert Registry(files).find(name).name == "Tiny"
    with pytest.raises(ModelNotFound):
        Registry(files).find("tiny:8b")


def test_the_projections_follow_every_change(files: Files, tiny: Path) -> None:
    registry = Registry(files)
    registry.add(tiny, "one")
    registry.add(tiny, "me/two:v1")
    cards = json.loads(files.tag_cache.read_bytes())["data"]
    tags = json.loads(files.tag_ollama.read_bytes())["models"]
    assert [(card["id"], card["owned_by"]) for card in cards] == [("one", "library"), ("me/two:v1", "me")]
    assert {tag["name"] for tag in tags} == {"one:latest", "me/two:v1"}
    registry.remove("ONE")
    assert [c["id"] for c in json.loads(files.tag_cache.read_bytes())["data"]] == ["me/two:v1"]


def test_the_digest_is_the_manifests_sha256_and_the_layer_the_files(files: Files, tiny: Path) -> None:
    entry = Registry(files).add(tiny, "one")
    data = place(files.home, entry.parsed).read_bytes()
    assert entry.digest == hashlib.sha256(data).hexdigest()
    assert json.loads(data)["layers"][0]["digest"] == f"sha256:{hashlib.sha256(tiny.read_bytes()).hexdigest()}"


def test_a_taken_name_is_refused_and_nothing_changes(files: Files, tiny: Path) -> None:
    Registry(files).add(tiny, "one")
    before = files.model_map.read_bytes()
    with pytest.raises(NameTaken):
        Registry(files).add(tiny, "ONE:latest")
    assert files.model_map.read_bytes() == before


def test_what_is_no_model_is_refused(files: Files, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(50))
    with pytest.raises(NotGguf):
        Registry(files).add(tmp_path / "x.gguf", "x")
    assert not files.model_map.exists()


def test_a_change_by_hand_is_seen_and_projected(files: Files, tiny: Path) -> None:
    registry = Registry(files)
    registry.add(tiny, "one")
    raw = json.loads(files.model_map.read_bytes())
    files.model_map.write_text(json.dumps({**raw, "two": str(tiny)}))
    assert [entry.name for entry in registry.entries()] == ["one", "two"]
    assert len(json.loads(files.tag_cache.read_bytes())["data"]) == 2


@pytest.mark.parametrize("damage", ["missing", "corrupt", "stale"])
def test_a_damaged_projection_is_rebuilt(files: Files, tiny: Path, damage: str) -> None:
    registry = Registry(files)
    registry.add(tiny, "one")
    good = files.tag_ollama.read_bytes()
    files.tag_ollama.unlink()
    if damage != "missing":
        files.tag_ollama.write_bytes(b"{" if damage == "corrupt" else b'{"models":[]}')
    registry.entries()
    assert files.tag_ollama.read_bytes() == good


def test_a_corrupt_truth_is_replaced_by_its_last_good_copy_and_said(
    files: Files, tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Registry(files).add(tiny, "one")
    files.model_map.write_text('{"one": ')
    with caplog.at_level(logging.WARNING):
        assert [entry.name for entry in Registry(files).entries()] == ["one"]
    assert "last good copy" in caplog.text
    assert files.model_map.read_text() == '{"one": '
    Registry(files).add(tiny, "two")
    assert set(json.loads(files.model_map.read_bytes())) == {"one", "two"}
    assert [p.read_text() for p in files.model_map.parent.glob("*.corrupt-*")] == ['{"one": ']


def test_without_a_good_copy_a_corrupt_truth_is_an_error(files: Files) -> None:
    files.model_map.parent.mkdir(parents=True)
    files.model_map.write_text("{")
    with pytest.raises(RegistryCorrupt):
        Registry(files).entries()


def test_the_map_of_version_1_is_read_as_it_is(files: Files, tiny: Path) -> None:
    files.model_map.parent.mkdir(parents=True)
    legacy = {"a": {"path": str(tiny.parent), "model": tiny.name, "stop": ["###"], "note": "mine"}, "b": str(tiny)}
    files.model_map.write_text(json.dumps(legacy))
    found = {entry.name: entry for entry in Registry(files).entries()}
    assert {entry.file for entry in found.values()} == {tiny}
    assert (found["a"].stop, found["b"].stop) == (("###",), ())
    assert json.loads(files.model_map.read_bytes()) == legacy


def test_it_is_rewritten_at_the_first_change_after_a_copy(files: Files, tiny: Path) -> None:
    files.model_map.parent.mkdir(parents=True)
    legacy = json.dumps({"a": {"path": str(tiny.parent), "model": tiny.name, "stop": "###", "note": "mine"}})
    files.model_map.write_text(legacy)
    Registry(files).add(tiny, "new")
    raw = json.loads(files.model_map.read_bytes())
    assert files.original.read_text() == legacy
    assert (raw["a"]["path"], raw["a"]["stop"], raw["a"]["note"]) == (str(tiny), ["###"], "mine")
    assert "model" not in raw["a"]


def test_a_relative_path_is_relative_to_the_map(files: Files, tiny: Path) -> None:
    files.model_map.parent.mkdir(parents=True)
    files.model_map.write_text(json.dumps({"a": f"../../{tiny.name}"}))
    assert not Registry(files).find("a").missing


def test_a_model_whose_file_is_gone_stays_listed(files: Files, tiny: Path) -> None:
    Registry(files).add(tiny, "one")
    tiny.unlink()
    entry = Registry(files).find("one")
    assert entry.missing
    assert len(entry.digest) == 64
    Registry(files).remove("one")


def test_an_entry_that_makes_no_sense_is_left_out_not_fatal(files: Files, tiny: Path) -> None:
    files.model_map.parent.mkdir(parents=True)
    files.model_map.write_text(json.dumps({"good": str(tiny), "bad": 5, "悪い": str(tiny), "worse": {"path": 7}}))
    assert [entry.name for entry in Registry(files).entries()] == ["good"]


def test_a_sampled_digest_is_settled_from_the_whole_file(files: Files, tiny: Path) -> None:
    files.model_map.parent.mkdir(parents=True)
    files.model_map.write_text(json.dumps({"a": str(tiny)}))
    registry = Registry(files)
    before = registry.find("a")
    assert [entry.name for entry in registry.inexact()] == ["a"]
    registry.settle(before)
    assert registry.inexact() == ()
    assert registry.find("a").digest != before.digest
    assert len(sample_digest(tiny)) == 64


def by_hand(files: Files, raw: object) -> None:
    files.model_map.parent.mkdir(parents=True, exist_ok=True)
    files.model_map.write_text(json.dumps(raw))


def test_a_map_that_was_emptied_is_corrupt_and_its_copy_is_used(files: Files, tiny: Path) -> None:
    Registry(files).add(tiny, "one")
    files.model_map.write_bytes(b"")
    assert [entry.name for entry in Registry(files).entries()] == ["one"]
    assert json.loads(files.last_good.read_bytes()).keys() == {"one"}


@pytest.mark.parametrize("left", [b"", b"\0\0\0"])
def test_a_copy_that_a_power_cut_has_emptied_is_made_anew_by_the_next_reader(
    files: Files, tiny: Path, left: bytes
) -> None:
    Registry(files).add(tiny, "one")
    files.last_good.write_bytes(left)
    Registry(files).find("one")
    assert files.last_good.read_bytes() == files.model_map.read_bytes()


def test_the_copy_of_a_deleted_map_is_left_alone(files: Files, tiny: Path) -> None:
    Registry(files).add(tiny, "one")
    files.model_map.unlink()
    assert Registry(files).entries() == ()
    assert json.loads(files.last_good.read_bytes()).keys() == {"one"}


def test_the_original_of_version_1_is_kept_for_good(files: Files, tiny: Path) -> None:
    by_hand(files, {"a": {"path": str(tiny.parent), "model": tiny.name}})
    original = files.model_map.read_bytes()
    Registry(files).add(tiny, "b")
    by_hand(files, {**json.loads(files.model_map.read_bytes()), "c": str(tiny)})
    Registry(files).add(tiny, "d")
    assert files.original.read_bytes() == original


def test_settling_does_not_bring_a_removed_model_back(files: Files, tiny: Path) -> None:
    by_hand(files, {"a": str(tiny)})
    entry = Registry(files).find("a")
    Registry(files).remove("a")
    Registry(files).settle(entry)
    assert Registry(files).entries() == ()


def test_settling_ends_and_keeps_what_was_changed_by_hand(files: Files, tiny: Path) -> None:
    registry = Registry(files)
    registry.add(tiny, "a", stop=("x",))
    raw = json.loads(files.model_map.read_bytes())
    by_hand(files, {"a": {**raw["a"], "exact": False, "note": "mine"}})
    entry = registry.find("a")
    by_hand(files, {"a": {**raw["a"], "exact": False, "note": "mine", "stop": []}})
    registry.settle(entry)
    assert registry.inexact() == ()
    assert registry.find("a").stop == ()
    assert json.loads(files.model_map.read_bytes())["a"]["note"] == "mine"


@pytest.mark.parametrize(
    "odd",
    [{"created": 1e300}, {"path": "x\0y"}, {"path": "/" + "n" * 300}, {"path": "~nobody-here/x"}, {"facts": 5}],
)
def test_no_hand_written_value_hides_the_other_models(files: Files, tiny: Path, odd: dict[str, object]) -> None:
    by_hand(files, {"odd": {"path": str(tiny), **odd}, "good": str(tiny)})
    entries = Registry(files).entries()
    assert "good" in [entry.name for entry in entries if not entry.missing]


def test_nulls_a_single_stop_string_and_a_byte_order_mark_are_understood(files: Files, tiny: Path) -> None:
    by_hand(
        files, {"a": {"path": str(tiny), "stop": "###", "parameters": None}, "b": {"path": str(tiny), "stop": None}}
    )
    files.model_map.write_bytes(b"\xef\xbb\xbf" + files.model_map.read_bytes())
    assert {entry.name: entry.stop for entry in Registry(files).entries()} == {"a": ("###",), "b": ()}


def test_of_two_spellings_of_a_name_the_first_is_listed(files: Files, tiny: Path) -> None:
    by_hand(files, {"A": str(tiny), "a:latest": str(tiny)})
    assert [entry.name for entry in Registry(files).entries()] == ["A"]


def test_a_file_replaced_by_another_is_seen(files: Files, tiny: Path) -> None:
    registry = Registry(files)
    before = registry.add(tiny, "a")
    make_tiny(tiny, chat_template="x" * 5000)
    assert registry.find("a").stored.facts.size == tiny.stat().st_size
    assert registry.find("a").size != before.size
    assert registry.find("a").digest != before.digest


def test_a_projection_that_cannot_be_written_stops_nothing(files: Files, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    broken = Files(files.model_map, tmp_path / "file/tags.json", files.tag_ollama, files.home)
    assert Registry(broken).add(tiny, "a").name == "a"
    assert [entry.name for entry in Registry(broken).entries()] == ["a"]


def test_a_link_stays_a_link_and_the_mode_is_kept(files: Files, tiny: Path, tmp_path: Path) -> None:
    Registry(files).add(tiny, "a")
    real = files.model_map.replace(tmp_path / "real.json")
    real.chmod(0o600)
    files.model_map.symlink_to(real)
    Registry(files).add(tiny, "b")
    assert files.model_map.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_path_that_is_not_utf_8_is_refused_with_the_reason(files: Files, tiny: Path) -> None:
    odd = tiny.with_name(os.fsdecode(b"\xff.gguf"))
    shutil.copy(tiny, odd)
    with pytest.raises(NotGguf, match="UTF-8"):
        Registry(files).add(odd, "a")


def test_a_manifest_that_is_not_what_the_digest_says_is_mended(files: Files, tiny: Path) -> None:
    registry = Registry(files)
    entry = registry.add(tiny, "a")
    for damage in (b"{}", None):
        path = place(files.home, entry.parsed)
        path.write_bytes(damage) if damage else path.unlink()
        registry.mend()
        assert hashlib.sha256(path.read_bytes()).hexdigest() == registry.find("a").digest == entry.digest
