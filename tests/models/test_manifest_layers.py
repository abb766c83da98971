"""Reading a manifest: what is told before any file is touched, and what each layer becomes."""

import hashlib
import json
import logging
from typing import Any

import pytest

from hoshikage.conversation import Message
from hoshikage.errors import ManifestUnusable
from hoshikage.models import layers
from hoshikage.models.entry import Stored
from hoshikage.models.layers import TEXT_BYTES, Layer
from hoshikage.models.media_types import CONFIG_TYPE, LAYER_TYPE

MODEL = b"weights"


class Source:
    """Layers in memory; their files lie in `/blobs`."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def layer(self, kind: str, content: bytes | str, **more: object) -> dict[str, Any]:
        data = content if isinstance(content, bytes) else content.encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.contents[digest] = data
        media_type = kind if "/" in kind else LAYER_TYPE + kind
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def stored(self, *described: dict[str, Any], **config: object) -> Stored:
        settings = self.layer(CONFIG_TYPE, json.dumps(config))
        manifest = layers.read(json.dumps({"config": settings, "layers": described}).encode())
        known = layers.configured(manifest, self.contents[settings["digest"]])
        return layers.stored(manifest, known, self.text, lambda layer: f"/blobs/{layer.digest}", "here")

    def text(self, layer: Layer) -> bytes:
        return self.contents[layer.digest]

    def refused(self, *described: dict[str, Any], **config: object) -> str:
        with pytest.raises(ManifestUnusable) as caught:
            self.stored(*described, **config)
        return str(caught.value)


@pytest.fixture
def source() -> Source:
    return Source()


def test_the_last_of_a_kind_counts_and_adapters_projectors_and_licences_are_all_kept(source: Source) -> None:
    kinds = ("adapter", "projector", "draft", "license", "system", "template", "prompt", "params", "messages")
    texts = {"params": '{{"seed":{}}}', "messages": '[{{"role":"user","content":"{}"}}]'}
    each = [source.layer(kind, texts.get(kind, f"{kind} {{}}").format(n)) for n in (1, 2) for kind in kinds]
    model = source.stored(source.layer("model", MODEL), *each)
    assert (model.system, model.template, model.parameters) == ("system 2", "prompt 2", {"seed": 2})
    assert model.messages == (Message(role="user", content="2"),)
    assert model.draft == f"/blobs/{each[len(kinds) + 2]['digest']}"
    assert model.license == ("license 1", "license 2")
    assert (len(model.adapters), len(model.projectors)) == (2, 2)


def test_the_parent_is_what_the_weights_were_made_from(source: Source) -> None:
    assert source.stored(source.layer("model", MODEL, **{"from": "gemma3:4b"})).parent == "gemma3:4b"
    assert source.stored(source.layer("model", MODEL, **{"from": None})).parent == ""
    assert "its manifest cannot be read" in source.refused(source.layer("model", MODEL, **{"from": "x" * 5000}))


@pytest.mark.parametrize("stop", ["#", ["#"], ["#", None, ""]])
def test_stop_is_a_text_or_a_list(source: Source, stop: object) -> None:
    params = source.layer("params", json.dumps({"stop": stop, "seed": None}))
    model = source.stored(source.layer("model", MODEL), params)
    assert (model.stop, model.parameters) == (("#",), {})


@pytest.mark.parametrize("text", ["null", "", " \n"])
def test_parameters_and_messages_that_are_null_or_empty_are_none(source: Source, text: str) -> None:
    each = [source.layer(kind, text) for kind in ("params", "messages")]
    model = source.stored(source.layer("model", MODEL), *each, renderer=None, model_format=None)
    assert (model.parameters, model.stop, model.messages, model.renderer) == ({}, (), (), "")


def test_null_for_layers_config_and_type_reads_as_nothing_there() -> None:
    manifest = layers.read(b'{"mediaType":null,"config":null,"layers":null}')
    with pytest.raises(ManifestUnusable, match="without weights"):
        layers.configured(manifest, None)


def test_weights_in_several_blobs_are_told_and_the_same_blob_twice_is_one(source: Source) -> None:
    one, other = source.layer("model", MODEL), source.layer("model", b"more")
    assert "its weights are 2 blobs" in source.refused(one, other)
    assert source.stored(one, one).path == f"/blobs/{one['digest']}"


def test_texts_too_large_alone_or_together_are_refused_before_they_are_read(source: Source) -> None:
    large = {**source.layer("license", "x"), "size": TEXT_BYTES}
    assert "too much" in source.refused({**large, "size": TEXT_BYTES + 1})
    assert "together" in source.refused(*[large] * 5)


def test_a_layer_of_unknown_type_is_told_once(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            source.stored(source.layer("model", MODEL), source.layer("embed", "old"), source.layer("novelty", "?"))
    assert [record.getMessage() for record in caplog.records] == [
        f"layers of type '{LAYER_TYPE}novelty' are passed over: nothing is known to do with them"
    ]
