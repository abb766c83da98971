"""How a request to create a model becomes a recipe: every field of it."""

from pathlib import Path

import pytest

from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.wire_manage import CreateRequest, to_recipe
from hoshikage.conversation import Message
from hoshikage.models.blobs import place
from hoshikage.models.truth import Files

WEIGHTS, LORA, DRAFT = (f"sha256:{digit * 64}" for digit in "abc")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A home in which the three blobs are uploaded."""
    for digest in (WEIGHTS, LORA, DRAFT):
        blob = place(tmp_path, digest)
        blob.parent.mkdir(exist_ok=True)
        blob.touch()
    return Files(tmp_path / "map", tmp_path / "cache", tmp_path / "ollama", tmp_path)


def test_every_field_reaches_the_recipe(files: Files) -> None:
    body = f"""{{"name":"me/x","files":{{"x.gguf":"{WEIGHTS}"}},"adapters":{{"l":"{LORA}"}},
        "draft_files":{{"d":"{DRAFT}"}},"template":"T","system":"S","license":"MIT","parameters":{{"seed":1}},"messages":[{{"role":"User","content":"hi"}}],
        "renderer":"qwen3-coder","parser":"qwen3","requires":"0.14.0","quantization":"q8_0"}}"""
    made = to_recipe(decode(body.encode(), CreateRequest), files)
    home = files.home
    assert (made.name, made.files, made.adapters) == ("me/x", (str(place(home, WEIGHTS)),), (str(place(home, LORA)),))
    assert (made.draft, made.template, made.system) == (str(place(home, DRAFT)), "T", "S")
    assert (made.license, made.parameters) == (("MIT",), {"seed": 1})
    assert made.messages == (Message(role="user", content="hi"),)
    assert (made.renderer, made.parser, made.requires, made.quantize) == ("qwen3-coder", "qwen3", "0.14.0", "q8_0")


def test_what_replaces_what_is_said_by_its_name(files: Files) -> None:
    newer = CreateRequest(model="a", name="b", from_="base", quantize="q4_0", quantization="q8_0")
    assert (to_recipe(newer, files).name, to_recipe(newer, files).quantize) == ("a", "q4_0")


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (CreateRequest(model="x", from_="y", draft_quantize="q8_0"), "--draft-quantize requires a DRAFT model"),
        (CreateRequest(model="x", files={"a": f"sha256:{'d' * 64}"}), "a is not here: upload it first"),
        (CreateRequest(model="x", from_="y", adapters={"/a": LORA}), "file path must be relative"),
        (CreateRequest(model="x", from_="y", draft_files={"../a": DRAFT}), "file path must be relative"),
        (CreateRequest(model="x", from_="y", parameters={"stop": 1}), 'option "stop" must be of an array of strings'),
        (CreateRequest(model="x", from_="y", license={"a": 1}), "license must be a string or a list of strings"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(files: Files, asked: CreateRequest, text: str) -> None:
    with pytest.raises(OllamaFault) as caught:
        to_recipe(asked, files)
    assert (caught.value.status, caught.value.text.startswith(text)) == (400, True)
