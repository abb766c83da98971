"""/api/create on the real server: uploads, bases, templates, quantizing; the models answer."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import Program, serve

GO = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> Iterator[Program]:
    with serve(tmp_path_factory.mktemp("create") / "home", starter) as program:
        yield program


@pytest.fixture
def client(running: Program) -> Iterator[httpx.Client]:
    with running.client() as made:
        yield made


def created(client: httpx.Client, **body: object) -> list[dict[str, object]]:
    reply = client.post("/api/create", json=body)
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def uploaded(client: httpx.Client, path: Path) -> str:
    data = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert client.post(f"/api/blobs/{digest}", content=data).status_code in {200, 201}
    return digest


def test_a_child_of_a_model_answers_by_its_own_template(client: httpx.Client) -> None:
    told = created(
        client, model="child", **{"from": "starter"}, template=GO, system="Be brief.", parameters={"seed": 7}
    )
    assert [str(line["status"]).partition(" layer")[0] for line in told] == [
        "using existing",
        *["creating new"] * 3,
        "writing manifest",
        "success",
    ]
    question = {"role": "user", "content": "Name a colour."}
    asked = {"messages": [question], "options": {"num_predict": 4}, "stream": False}
    child, plain = (client.post("/api/chat", json={"model": name, **asked}).json() for name in ("child", "starter"))
    system = [{"role": "system", "content": "Be brief."}, question]
    same = client.post("/api/chat", json={"model": "starter", **asked, "messages": system}).json()
    assert child["message"]["content"]
    assert child["prompt_eval_count"] == same["prompt_eval_count"] != plain["prompt_eval_count"]


def test_show_tells_what_was_given(client: httpx.Client) -> None:
    created(client, model="told", **{"from": "starter"}, template=GO, license=["MIT"], parameters={"stop": ["x"]})
    shown = client.post("/api/show", json={"model": "told"}).json()
    assert (shown["template"], shown["license"], shown["details"]["parent_model"]) == (GO, "MIT", "starter:latest")
    assert shown["parameters"].split() == ["stop", '"x"']


def test_stored_messages_come_before_those_of_the_request(client: httpx.Client) -> None:
    history = [{"role": "user", "content": "My name is Aiko."}, {"role": "assistant", "content": "Hello Aiko."}]
    created(client, model="remembers", **{"from": "starter"}, messages=history)
    question = {"role": "user", "content": "Who am I?"}
    asked = {"options": {"num_predict": 2}, "stream": False}
    one = client.post("/api/chat", json={"model": "remembers", "messages": [question], **asked}).json()
    two = client.post("/api/chat", json={"model": "starter", "messages": [*history, question], **asked}).json()
    assert one["prompt_eval_count"] == two["prompt_eval_count"]


def test_an_uploaded_file_becomes_a_model_and_goes_with_it(
    client: httpx.Client, running: Program, tmp_path: Path
) -> None:
    digest = uploaded(client, make_tiny(tmp_path / "tiny.gguf"))
    told = created(client, model="up", files={"tiny.gguf": digest}, quantize="q8_0")
    assert [line["status"] for line in told][:2] == ["parsing GGUF", "quantizing F32 model to Q8_0"]
    quantizing = [line for line in told if line["status"] == "quantizing F32 model to Q8_0"]
    assert {line["digest"] for line in quantizing} == {"0" * 19}
    done = client.post("/api/generate", json={"model": "up", "prompt": "x", "stream": False, "options": {"seed": 1}})
    assert done.json()["done"]
    client.request("DELETE", "/api/delete", json={"model": "up"})
    assert [path.name for path in (running.home / "blobs").iterdir()] == [digest.replace(":", "-")]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"model": "x"}, "neither 'from' or 'files' was specified"),
        ({"model": "a b", "from": "starter"}, "invalid model name"),
        ({"model": " x", "from": "starter"}, "invalid model name"),
        ({"model": "x", "from": "a b"}, "invalid model name"),
        ({"model": "x", "files": {}}, "unknown type"),
        ({"model": "x", "files": {"../x": "sha256:" + "0" * 64}}, "file path must be relative"),
        ({"model": "x", "files": {"/etc/passwd": "sha256:" + "0" * 64}}, "file path must be relative"),
        ({"model": "x", "files": {"x": ""}}, "invalid digest format"),
        ({"model": "x", "files": {"x": "sha256:../../etc/passwd"}}, "invalid digest format"),
        ({"model": "x", "from": "starter", "draft_quantize": "q8_0"}, "--draft-quantize requires a DRAFT model"),
    ],
)
def test_what_is_wrong_is_refused_with_400(client: httpx.Client, body: dict[str, object], text: str) -> None:
    reply = client.post("/api/create", json=body)
    assert (reply.status_code, reply.json()) == (400, {"error": text})


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"template": "{{ if }}"}, "template error: "),
        ({"quantize": "Q9"}, "unsupported quantization type Q9"),
        ({"quantize": "q4_0"}, "quantization is only supported for F16, BF16 and F32 models"),
    ],
)
def test_a_create_that_fails_at_once_has_its_status(client: httpx.Client, more: dict[str, str], text: str) -> None:
    for stream in (True, False):
        reply = client.post("/api/create", json={"model": "x", "from": "starter", "stream": stream, **more})
        assert reply.status_code == 400
        assert reply.json()["error"].startswith(text)


def test_a_refusal_that_ollama_streams_has_no_charset(client: httpx.Client) -> None:
    kinds = [client.post("/api/create", json=body).headers["content-type"] for body in ({"model": "x"}, {"model": ""})]
    assert kinds == ["application/json", "application/json; charset=utf-8"]


def test_a_model_that_runs_elsewhere_is_not_made(client: httpx.Client) -> None:
    reply = client.post("/api/create", json={"model": "x", "from": "starter", "remote_host": "https://ollama.com"})
    text = "ollama cloud is disabled: remote model is unavailable"
    assert (reply.status_code, reply.json()) == (403, {"error": text})


def test_generate_takes_a_template_of_the_request(client: httpx.Client) -> None:
    asked = {"model": "starter", "prompt": "hi", "stream": False, "options": {"num_predict": 1}}
    short = client.post("/api/generate", json={**asked, "template": "{{ .Prompt }}"}).json()
    assert short["prompt_eval_count"] < client.post("/api/generate", json=asked).json()["prompt_eval_count"]
    refused = client.post("/api/generate", json={**asked, "template": "{{ nope }}"})
    assert (refused.status_code, 'function "nope" not defined' in refused.text.replace("\\", "")) == (400, True)
