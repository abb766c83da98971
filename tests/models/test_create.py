"""Making models: from files, from models, with everything a Modelfile says. Real files, real quantizer."""

import json
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from fixtures.tiny_lora import make_lora
from hoshikage.conversation import Message
from hoshikage.errors import BadName, CreateRefused, RequestError
from hoshikage.models.create import create
from hoshikage.models.disposal import prune
from hoshikage.models.entry import Entry, Stored
from hoshikage.models.gguf import read_header
from hoshikage.models.hubs.base import Fetched, Progress
from hoshikage.models.manifest import place
from hoshikage.models.modelfile import parse
from hoshikage.models.recipe import Recipe, from_modelfile
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    models = tmp_path / "models"
    return Registry(Files(models / "model_map.json", models / "tags_cache.json", models / "tags_ollama.json", tmp_path))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "tiny.gguf")


def unreachable(name: str) -> Generator[Progress, None, Fetched]:
    raise AssertionError(f"{name} is not pulled")
    yield


def made(recipe: Recipe, registry: Registry) -> tuple[list[str], Entry]:
    steps, told = create(recipe, registry, unreachable), []
    while True:
        try:
            told.append(next(steps).status)
        except StopIteration as end:
            return told, end.value


def test_a_modelfile_becomes_a_model_without_a_copy(registry: Registry, tiny: Path, tmp_path: Path) -> None:
    make_lora(tmp_path / "lora.gguf")
    text = (
        "FROM ./tiny.gguf\nADAPTER lora.gguf\nSYSTEM be brief\nTEMPLATE {{ .Prompt }}!\nLICENSE MIT\n"
        "PARAMETER temperature 0.5\nPARAMETER stop a\nPARAMETER stop b\nMESSAGE user hi\nMESSAGE assistant ho\n"
    )
    _, entry = made(from_modelfile("me/mine:v1", parse(text), tmp_path), registry)
    stored = entry.stored
    assert (entry.file, stored.adapters, stored.fetched) == (tiny, (str(tmp_path / "lora.gguf"),), False)
    assert (entry.system, stored.template, stored.license) == ("be brief", "{{ .Prompt }}!", ("MIT",))
    assert (entry.parameters, entry.stop) == ({"temperature": 0.5}, ("a", "b"))
    assert stored.messages == (Message(role="user", content="hi"), Message(role="assistant", content="ho"))
    assert not registry.files.blobs.exists()


def test_a_child_inherits_merges_and_names_its_parent(registry: Registry, tiny: Path) -> None:
    registry.register("base", Stored(path=str(tiny), system="old", license=("A",), parameters={"top_k": 1, "seed": 2}))
    recipe = Recipe(name="child", base="BASE", license=("B",), parameters={"seed": 3, "stop": ["x"]})
    told, entry = made(recipe, registry)
    assert (entry.system, entry.stored.license, entry.stored.parent) == ("old", ("A", "B"), "base:latest")
    assert (entry.parameters, entry.stop) == ({"top_k": 1, "seed": 3}, ("x",))
    assert [line.partition(" layer")[0] for line in told] == [
        *["using existing"] * 2,
        "creating new",
        "using existing",
        "creating new",
        "writing manifest",
        "success",
    ]


def test_the_manifest_names_every_layer_and_its_sha256_is_the_digest(registry: Registry, tiny: Path) -> None:
    _, entry = made(Recipe(name="m", files=(str(tiny),), system="s", template="t"), registry)
    layers = json.loads(place(registry.files.home, entry.parsed).read_bytes())["layers"]
    assert [layer["mediaType"].rpartition(".")[2] for layer in layers] == ["model", "template", "system"]


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (Recipe(name="x"), "neither 'from' or 'files' was specified"),
        (Recipe(name="x", base="base", template="{{ if }}"), "template error: "),
        (Recipe(name="x", base="base", template="{{ nope . }}"), 'function "nope" not defined'),
        (Recipe(name="x", base="base", quantize="Q4_K_M"), None),
        (Recipe(name="x", base="base", quantize="Q9"), "unsupported quantization type Q9"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_reason(
    registry: Registry, tiny: Path, recipe: Recipe, reason: str | None
) -> None:
    registry.add(tiny, "base")
    if reason is None:
        assert read_header(made(recipe, registry)[1].file).file_type == "Q4_K_M"
        return
    with pytest.raises(RequestError, match=reason.replace("(", r"\(")):
        made(recipe, registry)
    assert [entry.name for entry in registry.entries()] == ["base"]


def test_a_name_that_is_none_is_refused_first(registry: Registry) -> None:
    with pytest.raises(BadName):
        made(Recipe(name="a b"), registry)


def test_a_file_that_is_no_gguf_is_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"no")
    with pytest.raises(CreateRefused, match=r"supplied file was not in GGUF format: .*x\.gguf"):
        made(Recipe(name="x", files=(str(tmp_path / "x.gguf"),)), registry)


def test_a_quantized_model_lies_among_our_blobs_under_its_digest(registry: Registry, tiny: Path) -> None:
    told, entry = made(Recipe(name="q", files=(str(tiny),), quantize="q8_0"), registry)
    assert entry.file.parent == registry.files.blobs
    assert (entry.file.name, [file.name for file in registry.files.blobs.iterdir()]) == (
        f"sha256-{registry.digests.whole(entry.file)}",
        [entry.file.name],
    )
    assert told[1] == "quantizing F32 model to Q8_0"
    assert "verifying conversion" in told
    with pytest.raises(CreateRefused, match="only supported for F16, BF16 and F32 models"):
        made(Recipe(name="again", base="q", quantize="Q4_0"), registry)


def test_the_progress_of_quantizing_is_in_bytes_of_the_source(registry: Registry, tiny: Path) -> None:
    steps = create(Recipe(name="q", files=(str(tiny),), quantize="Q8_0"), registry, unreachable)
    told = [step for step in steps if step.status == "quantizing F32 model to Q8_0"]
    assert {step.total for step in told} == {tiny.stat().st_size}
    assert (told[0].completed, told[-1].completed) == (0, tiny.stat().st_size)


def test_leaving_in_the_middle_of_quantizing_leaves_nothing(registry: Registry, tiny: Path) -> None:
    steps = create(Recipe(name="q", files=(str(tiny),), quantize="Q8_0"), registry, unreachable)
    next(step for step in steps if step.total)
    steps.close()
    assert list(registry.files.blobs.iterdir()) == []
    assert registry.entries() == ()


def test_what_is_replaced_takes_its_own_files_along(registry: Registry, tiny: Path) -> None:
    _, first = made(Recipe(name="q", files=(str(tiny),), quantize="Q8_0"), registry)
    _, second = made(Recipe(name="Q", files=(str(tiny),)), registry)
    assert (second.name, first.file.exists(), tiny.exists()) == ("q", False, True)


def test_what_hoshikage_fetched_stays_its_own_when_a_modelfile_names_the_path(registry: Registry, tiny: Path) -> None:
    registry.register("fetched", Stored(path=str(tiny), fetched=True))
    assert made(Recipe(name="again", files=(str(tiny),)), registry)[1].stored.fetched


def test_an_adapter_that_is_none_is_refused_before_anything_is_made(
    registry: Registry, tiny: Path, tmp_path: Path
) -> None:
    registry.add(tiny, "base")
    (tmp_path / "no.gguf").write_bytes(b"no")
    for path, reason in ((tiny, "it is a model, not a LoRA adapter"), (tmp_path / "no.gguf", "was not in GGUF format")):
        with pytest.raises(CreateRefused, match=reason):
            made(Recipe(name="x", base="base", adapters=(str(path),)), registry)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FROM ./nope.gguf", "no such file"),
        ("FROM .", "convert_hf_to_gguf"),
        ("FROM x\nADAPTER ./nope.gguf", "ADAPTER ./nope.gguf: no such file"),
    ],
)
def test_a_modelfile_that_names_what_is_not_there_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CreateRefused, match=reason):
        from_modelfile("x", parse(text), tmp_path)


def test_a_base_that_is_not_here_is_pulled(registry: Registry, tiny: Path) -> None:
    def pulled(name: str) -> Generator[Progress, None, Fetched]:
        yield Progress(status="pulling manifest")
        registry.add(tiny, name)
        yield Progress(status="success")
        return Fetched(name=name, model=Stored(path=str(tiny)))

    told = [step.status for step in create(Recipe(name="child", base="gemma3:4b"), registry, pulled)]
    assert (told[0], told.count("success"), told[-1]) == ("pulling manifest", 1, "success")
    assert registry.find("child").stored.parent == "gemma3:4b"


def test_what_a_killed_quantization_leaves_is_found_by_the_pruning(registry: Registry, tiny: Path) -> None:
    steps = create(Recipe(name="q", files=(str(tiny),), quantize="q8_0"), registry, unreachable)
    while next(steps).status != "verifying conversion":
        pass
    (left,) = registry.files.blobs.iterdir()
    os.utime(left, (time.time() - 7200,) * 2)
    prune(registry)  # as after a kill -9 here: the generator has not gone on
    assert not left.exists()
    steps.close()
