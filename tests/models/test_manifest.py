"""Manifests: deterministic bytes, and digests that follow from them."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.models.entry import Facts
from hoshikage.models.manifest import config_of, file_digest, manifest, place, sample_digest
from hoshikage.models.names import parse
from hoshikage.models.registry import Files, Registry

FACTS = Facts(size=7, family="llama", parameter_size="1B", quantization_level="Q8_0", capabilities=("completion",))


def test_the_same_facts_give_the_same_bytes_and_others_give_others() -> None:
    other = msgspec.structs.replace(FACTS, quantization_level="Q4_0")
    assert manifest(FACTS, "0" * 64) == manifest(FACTS, "0" * 64)
    assert len({manifest(FACTS, "0" * 64), manifest(FACTS, "1" * 64), manifest(other, "0" * 64)}) == 3


def test_the_form_is_ollamas_and_the_config_digest_is_the_configs() -> None:
    made = json.loads(manifest(FACTS, "a" * 64))
    config = msgspec.json.encode(config_of(FACTS))
    assert list(made) == ["schemaVersion", "mediaType", "config", "layers"]
    assert made["config"]["digest"] == f"sha256:{hashlib.sha256(config).hexdigest()}"
    assert made["config"]["size"] == len(config)
    assert made["layers"][0]["size"] == FACTS.size


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Foo", "registry.ollama.ai/library/foo/latest"), ("hf.co/U/r:Q4", "hf.co/u/r/q4")],
)
def test_a_manifest_lies_four_folders_deep_without_case(name: str, expected: str) -> None:
    assert place(Path("/home"), parse(name)) == Path("/home/manifests") / expected


def test_a_host_longer_than_a_file_name_can_be_has_a_place(tmp_path: Path) -> None:
    path = place(tmp_path, parse("h" * 350 + "/u/m"))
    path.parent.mkdir(parents=True)
    path.touch()


def test_a_sample_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    one, two = make_tiny(tmp_path / "one.gguf"), make_tiny(tmp_path / "two.gguf")
    other = make_tiny(tmp_path / "other.gguf", seed=1)
    assert sample_digest(one) == sample_digest(two) != sample_digest(other)
    assert sample_digest(one) != file_digest(one)


def test_an_entry_of_version_1_has_a_manifest_whose_sha256_is_its_digest(tmp_path: Path) -> None:
    files = Files(tmp_path / "map.json", tmp_path / "cache.json", tmp_path / "tags.json", tmp_path)
    files.model_map.write_text(json.dumps({"a": str(make_tiny(tmp_path / "tiny.gguf"))}))
    entry = Registry(files).find("a")
    assert file_digest(place(tmp_path, entry.parsed)) == entry.digest
