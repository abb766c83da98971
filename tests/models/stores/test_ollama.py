"""Ollama's store: every kind of layer, and what cannot be used, noted and never fatal."""

import json
from pathlib import Path

import pytest
from msgspec import structs

from hoshikage.conversation import Message
from hoshikage.models.stores.base import Found
from hoshikage.models.stores.ollama import Ollama
from tests.models.stores.trees import OllamaTree, make_part, state

PARAMETERS = {"stop": ["<|im_end|>", "###"], "temperature": 0.2, "num_ctx": 4096}


@pytest.fixture
def tree(tmp_path: Path) -> OllamaTree:
    return OllamaTree(tmp_path / "store")


def found(tree: OllamaTree) -> dict[str, Found]:
    return {each.name: each for each in Ollama(tree.root).models()}


def only(tree: OllamaTree) -> Found:
    (one,) = found(tree).values()
    return one


def test_all_layers_of_a_model_become_its_entry(tree: OllamaTree, tiny: Path, tmp_path: Path) -> None:
    parts = {kind: make_part(tmp_path / kind, kind).read_bytes() for kind in ("adapter", "mmproj")}
    layers = (
        tree.layer("model", tiny.read_bytes()),
        tree.layer("projector", parts["mmproj"]),
        tree.layer("adapter", parts["adapter"]),
        tree.layer("draft", tiny.read_bytes()),
        tree.layer("template", "{{ .Prompt }}"),
        tree.layer("system", "星影です。"),
        tree.layer("params", json.dumps(PARAMETERS)),
        tree.layer("messages", json.dumps([{"role": "user", "content": "hi"}])),
        tree.layer("license", "MIT"),
        tree.layer("license", "Apache"),
        tree.layer("embed", "obsolete"),
    )
    tree.manifest("m/8b", *layers, renderer="r", parser="p", requires="0.14.0")
    blobs = [str(tree.root / "blobs" / layer["digest"].replace(":", "-")) for layer in layers]
    one = only(tree)
    model = one.model
    assert (one.name, one.note, model.origin) == ("m:8b", "", "ollama:registry.ollama.ai/library/m:8b")
    assert (model.path, *model.projectors, *model.adapters, model.draft) == tuple(blobs[:4])
    assert (model.template, model.system, model.license) == ("{{ .Prompt }}", "星影です。", ("MIT", "Apache"))
    assert (model.stop, model.parameters) == (("<|im_end|>", "###"), {"temperature": 0.2, "num_ctx": 4096})
    assert model.messages == (Message(role="user", content="hi"),)
    assert (model.renderer, model.parser, model.requires) == ("r", "p", "0.14.0")
    assert model.fetched is False
    assert model.size == 2 * tiny.stat().st_size + sum(map(len, parts.values()))


def test_names_are_ollamas_short_ones_and_other_depths_are_passed_over(tree: OllamaTree, tiny: Path) -> None:
    layer = tree.layer("model", tiny.read_bytes())
    for name in ("m/latest", "hf.co/org/repo/Q8_0", "registry.ollama.ai/me/x/v1", "-bad/latest", "m/.hidden"):
        tree.manifest(name, layer)
    (tree.root / "manifests/registry.ollama.ai/stray").write_text("{}")
    (tree.root / "manifests/registry.ollama.ai/library/m/deep").mkdir()
    assert sorted(found(tree)) == ["hf.co/org/repo:Q8_0", "m:latest", "me/x:v1"]


def test_the_old_spellings_of_blobs_and_templates_are_read(tree: OllamaTree, tiny: Path) -> None:
    layer = tree.layer("model", tiny.read_bytes(), separator=":")
    tree.manifest("old/latest", layer, tree.layer("prompt", "{{ .Prompt }}!"))
    model = only(tree).model
    assert (Path(model.path).name, model.template) == (layer["digest"], "{{ .Prompt }}!")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"layers":[{}]}', "\x00", '{"layers":[' + "[" * 100_000, "{}"])
def test_a_broken_manifest_is_noted_and_the_others_are_listed(tree: OllamaTree, tiny: Path, text: str) -> None:
    tree.raw("broken/latest", text)
    tree.manifest("good/latest", tree.layer("model", tiny.read_bytes()))
    listed = found(tree)
    assert listed["broken:latest"].note
    assert listed["good:latest"].note == ""


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../../etc/passwd", "../secret", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "md5:" + "0" * 32, ""],
)
def test_a_digest_that_is_none_never_becomes_a_path(tree: OllamaTree, tiny: Path, digest: str) -> None:
    (tree.root / "secret").write_bytes(tiny.read_bytes())
    layer = {**tree.layer("model", tiny.read_bytes()), "digest": digest}
    tree.manifest("m/latest", layer)
    assert "digest" in only(tree).note


def test_a_missing_and_a_half_fetched_blob_are_named(tree: OllamaTree, tiny: Path) -> None:
    data = tiny.read_bytes()
    tree.manifest("m/latest", tree.layer("model", data))
    blob = tree.blob(data)
    blob.write_bytes(data[:1000])
    assert only(tree).note == f"the blob {blob.name[:19]}… has 1000 bytes of {len(data)}"
    blob.rename(blob.with_name(f"{blob.name}-partial"))
    assert only(tree).note == f"the blob {blob.name[:19]}… is missing"


def test_a_blob_that_is_no_gguf_and_a_model_that_is_an_adapter_are_noted(tree: OllamaTree, tmp_path: Path) -> None:
    tree.manifest("text/latest", tree.layer("model", "weights"))
    tree.manifest("lora/latest", tree.layer("model", make_part(tmp_path / "a", "adapter").read_bytes()))
    notes = {name: each.note for name, each in found(tree).items()}
    assert "GGUF magic" in notes["text:latest"]
    assert "a LoRA adapter, not a model" in notes["lora:latest"]


def test_cloud_models_safetensors_and_split_weights_are_noted(tree: OllamaTree, tiny: Path) -> None:
    tree.manifest("gpt/cloud", remote_host="https://ollama.com", remote_model="gpt")
    tree.manifest("mlx/latest", tree.layer("tensor", "x"), model_format="safetensors")
    other = tree.layer("model", tiny.read_bytes() + b"\0")
    tree.manifest("split/latest", tree.layer("model", tiny.read_bytes()), other)
    notes = {name: each.note for name, each in found(tree).items()}
    assert "https://ollama.com" in notes["gpt:cloud"]
    assert "safetensors" in notes["mlx:latest"]
    assert "2 blobs" in notes["split:latest"]


def test_links_out_of_the_store_are_noted(tree: OllamaTree, tiny: Path, tmp_path: Path) -> None:
    tree.manifest("m/latest", tree.layer("model", tiny.read_bytes()))
    blob = tree.blob(tiny.read_bytes())
    blob.unlink()
    blob.symlink_to(tiny)
    assert "link out of the store" in only(tree).note
    manifest = tree.manifest("n/latest")
    manifest.rename(tmp_path / "elsewhere")
    manifest.symlink_to(tmp_path / "elsewhere")
    assert found(tree)["n:latest"].note == "its manifest is a link out of the store"


def test_a_folder_of_blobs_on_another_disk_is_the_stores_own(tree: OllamaTree, tiny: Path, tmp_path: Path) -> None:
    tree.manifest("m/latest", tree.layer("model", tiny.read_bytes()))
    (tree.root / "blobs").rename(tmp_path / "disk")
    (tree.root / "blobs").symlink_to(tmp_path / "disk")
    assert only(tree).note == ""


def test_null_layers_a_loop_of_links_and_a_store_that_is_not_there_do_no_harm(tree: OllamaTree) -> None:
    tree.raw("null/latest", '{"layers":null}')
    loop = tree.raw("loop/latest", "")
    loop.unlink()
    loop.symlink_to(loop)
    assert all(each.note for each in found(tree).values())
    assert len(found(tree)) == 2
    assert list(Ollama(tree.root / "nowhere").models()) == []


def test_listing_writes_nothing_and_is_the_same_each_time(tree: OllamaTree, tiny: Path) -> None:
    tree.manifest("m/latest", tree.layer("model", tiny.read_bytes()), tree.layer("system", "s"))
    before = state(tree.root)
    first, second = only(tree), only(tree)
    assert structs.asdict(first) == structs.asdict(second)
    assert state(tree.root) == before
