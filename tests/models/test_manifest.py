"""Manifests: deterministic bytes, and digests that follow from them."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.conversation import Message
from hoshikage.models.digests import Digest, file_digest, sample_digest
from hoshikage.models.entry import Facts, Stored
from hoshikage.models.manifest import DigestOf, config_of, manifest, place
from hoshikage.models.names import parse
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files

FACTS = Facts(size=7, family="llama", parameter_size="1B", quantization_level="Q8_0", capabilities=("completion",))
MODEL = Stored(path="/m.gguf", facts=FACTS)


def digits(digit: str) -> DigestOf:
    return lambda _: Digest(digit * 64, exact=True, size=7)


def test_the_same_facts_give_the_same_bytes_and_others_give_others() -> None:
    other = msgspec.structs.replace(MODEL, facts=msgspec.structs.replace(FACTS, quantization_level="Q4_0"))
    assert manifest(MODEL, digits("0")) == manifest(MODEL, digits("0"))
    assert (
        len({manifest(MODEL, digits("0")).data, manifest(MODEL, digits("1")).data, manifest(other, digits("0"))}) == 3
    )


def test_the_form_is_ollamas_and_the_config_digest_is_the_configs() -> None:
    made = json.loads(manifest(MODEL, digits("a")).data)
    config = msgspec.json.encode(config_of(MODEL))
    assert list(made) == ["schemaVersion", "mediaType", "config", "layers"]
    assert made["config"]["digest"] == f"sha256:{hashlib.sha256(config).hexdigest()}"
    assert made["config"]["size"] == len(config)
    assert made["layers"][0]["size"] == FACTS.size


def test_every_file_and_text_of_a_model_is_a_layer() -> None:
    whole = msgspec.structs.replace(
        MODEL,
        stop=("x",),
        system="s",
        template="{{ .Prompt }}",
        license=("a", "b"),
        messages=(Message(role="user", content="hi"),),
        adapters=("/l.gguf",),
        projectors=("/p.gguf",),
        draft="/d.gguf",
    )
    made = manifest(whole, digits("a"))
    kinds = [layer.media_type.rpartition(".")[2] for layer in made.layers]
    assert kinds == "model projector adapter draft template system params messages license license".split()
    assert made.size == made.config.size + sum(layer.size for layer in made.layers)


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
