"""Pulls by Ollama's registry protocol from Debian's real Docker registry."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.conversation import Message
from hoshikage.errors import ManifestMissing
from hoshikage.models.entry import Stored
from hoshikage.models.hubs.base import Progress
from hoshikage.models.hubs.ollama import OllamaRegistry
from tests.models.hubs import docker_registry
from tests.models.hubs.docker_registry import digest, push
from tests.models.hubs.index import left, run

TEMPLATE, SYSTEM = "{{ .System }} {{ .Prompt }}", "Be brief, 星影."
LICENSES = ("MIT, all of it", "and more")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    docker_registry.needed()
    with docker_registry.served(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def weights(folder: Path) -> dict[str, bytes]:
    """Different GGUF files for each kind of layer; what they are for does not matter to a pull."""
    kinds = ("model", "projector", "adapter", "draft")
    return {kind: make_tiny(folder / f"{kind}.gguf", seed=n).read_bytes() for n, kind in enumerate(kinds)}


def config(**more: object) -> bytes:
    return json.dumps({"model_format": "gguf", "model_family": "llama", **more}).encode()


def test_every_layer_of_a_model_arrives(host: str, tmp_path: Path) -> None:
    files, home = weights(tmp_path), tmp_path / "home"
    params = json.dumps({"stop": ["<|im_end|>", "</s>"], "temperature": 0.25, "num_ctx": 4096}).encode()
    messages = json.dumps([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "はい"}]).encode()
    texts = [("template", TEMPLATE.encode()), ("system", SYSTEM.encode()), ("params", params), ("messages", messages)]
    licenses = [("license", text.encode()) for text in LICENSES]
    described = config(renderer="qwen3-coder", parser="qwen3", requires="0.12.0")
    push(host, "me/full", "v1", described, [*files.items(), *texts, *licenses, ("embed", b"obsolete")])
    _, fetched = run(OllamaRegistry(insecure=True).fetch(f" {host}/me/full:v1 ", home / "models"))
    paths = {kind: home / "blobs" / digest(content).replace(":", "-") for kind, content in files.items()}
    assert {kind: path.read_bytes() for kind, path in paths.items()} == files
    assert left(home / "blobs") == sorted(path.name for path in paths.values())
    assert fetched.name == f"{host}/me/full:v1"
    assert fetched.model == Stored(
        path=str(paths["model"]),
        projectors=(str(paths["projector"]),),
        adapters=(str(paths["adapter"]),),
        draft=str(paths["draft"]),
        stop=("<|im_end|>", "</s>"),
        parameters={"temperature": 0.25, "num_ctx": 4096},
        template=TEMPLATE,
        system=SYSTEM,
        messages=(Message(role="user", content="Hi"), Message(role="assistant", content="はい")),
        license=LICENSES,
        renderer="qwen3-coder",
        parser="qwen3",
        requires="0.12.0",
        origin=f"{host}/me/full:v1",
        fetched=True,
    )


def line(content: bytes) -> Progress:
    size, name = len(content), digest(content)
    return Progress(status=f"pulling {name[7:19]}", digest=name, total=size, completed=size)


def test_a_second_pull_tells_each_layer_once_and_fetches_no_file(host: str, tmp_path: Path) -> None:
    model, described = make_tiny(tmp_path / "tiny.gguf").read_bytes(), config()
    push(host, "library/tiny", "latest", described, [("model", model), ("system", SYSTEM.encode())])
    hub = OllamaRegistry()
    _, first = run(hub.fetch(f"http://{host}/library/tiny", tmp_path / "models"))
    blob = Path(first.model.path)
    before = blob.stat()
    seen, second = run(hub.fetch(f"http://{host}/library/tiny", tmp_path / "models"))
    told = [each for each in seen if each.digest in {None, digest(model)}]
    assert told == [
        Progress(status="pulling manifest"),
        line(model),
        Progress(status="verifying sha256 digest"),
    ]
    assert second == first
    assert (blob.stat().st_ino, blob.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_lines_end_with_each_layer_complete_and_the_config_last(host: str, tmp_path: Path) -> None:
    model, described = make_tiny(tmp_path / "tiny.gguf", seed=7).read_bytes(), config(parser="x")
    push(host, "me/lines", "latest", described, [("model", model), ("system", SYSTEM.encode())])
    seen, _ = run(OllamaRegistry(insecure=True).fetch(f"{host}/me/lines", tmp_path / "models"))
    complete = [each for each in seen if each.total and each.completed == each.total]
    assert list(dict.fromkeys(each.digest for each in complete)) == [
        digest(model),
        digest(SYSTEM.encode()),
        digest(described),
    ]
    assert complete[-1] == line(described)
    assert seen[-1] == Progress(status="verifying sha256 digest")


def test_an_older_prompt_layer_is_a_template(host: str, tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "tiny.gguf", seed=8).read_bytes()
    push(host, "me/old", "latest", config(), [("model", model), ("prompt", b"{{ .Prompt }}")])
    _, fetched = run(OllamaRegistry(insecure=True).fetch(f"{host}/me/old", tmp_path / "models"))
    assert fetched.model.template == "{{ .Prompt }}"


def test_a_model_that_is_not_there_is_told_in_ollamas_words(host: str, tmp_path: Path) -> None:
    steps = OllamaRegistry(insecure=True).fetch(f"{host}/me/nothing:1b", tmp_path / "models")
    assert next(steps) == Progress(status="pulling manifest")
    with pytest.raises(ManifestMissing) as caught:
        next(steps)
    assert str(caught.value) == "pull model manifest: file does not exist"
    assert "me/nothing:1b" in caught.value.text("ja")


def test_a_machine_that_lands_changes_may_not_skip_these_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="is missing: run `make system` as root"):
        docker_registry.needed("no-such-program")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception):
        docker_registry.needed("no-such-program")
