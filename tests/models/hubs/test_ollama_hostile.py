"""What a registry, or a host in its way, may not do to a pull: credentials, redirects, bombs and broken manifests."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from hoshikage.errors import BadName, DiskFull, HashMismatch, PullError
from hoshikage.models import blobs, names
from hoshikage.models.hubs.ollama import OllamaRegistry, address
from hoshikage.models.hubs.ollama_registry import Refused, redirected
from hoshikage.models.layers import MANIFEST_BYTES
from tests.models.hubs.docker_registry import CONFIG as CONFIG_TYPE
from tests.models.hubs.docker_registry import KIND, Layers, digest, layer, manifest
from tests.models.hubs.index import MODEL, left, run
from tests.models.hubs.peer import CONFIG, PIECE, Answer, Host, Peer, hosted, registry

TOKEN = "anonymous-but-secret"


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def hub() -> OllamaRegistry:
    return OllamaRegistry(insecure=True, stall_seconds=5, wait_seconds=0.01)


def refused(host: Host, tmp_path: Path) -> str:
    """Why the pull fails; no file stays."""
    with pytest.raises(PullError) as caught:
        run(hub().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    return str(caught.value)


def guarded(answer: Answer, realm: Callable[[Peer], str]) -> Answer:
    """A registry that wants a token; it also tries to set a cookie."""

    def checked(peer: Peer) -> None:
        if peer.path.startswith("/token"):
            peer.send(200, json.dumps({"token": TOKEN}).encode())
        elif peer.headers.get("authorization") == f"Bearer {TOKEN}":
            answer(peer)
        else:
            asked = f'Bearer realm="{realm(peer)}",service="registry",scope="repository:ns/model:pull"'
            peer.send(401, www_authenticate=asked, set_cookie="session=secret; Path=/")

    return checked


def own(peer: Peer) -> str:
    return f"http://{peer.server.host}/token"


def test_a_token_is_fetched_where_the_registry_is_and_sent_with_all_that_follows(tmp_path: Path) -> None:
    with hosted(guarded(registry(MODEL, lambda peer: peer.send_range(MODEL)), own)) as host:
        _, fetched = run(hub().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert Path(fetched.model.path).read_bytes() == MODEL
    [path] = [path for path, _ in host.asked if path.startswith("/token")]
    assert httpx2.URL(path).params == httpx2.QueryParams(service="registry", scope="repository:ns/model:pull")
    assert "authorization" not in {name.lower() for name in host.asked_for("/token")[0]}


def test_a_realm_at_another_host_is_named_and_never_asked(tmp_path: Path) -> None:
    with (
        hosted(lambda peer: peer.send(200, json.dumps({"token": TOKEN}).encode())) as thief,
        hosted(guarded(registry(MODEL, lambda peer: peer.send(500)), lambda _: f"http://{thief.host}/token")) as host,
    ):
        said = refused(host, tmp_path)
    assert said.startswith("pull model manifest: the registry sends us to another host, 127.0.0.1")
    assert not thief.asked


def test_a_redirect_of_a_blob_to_another_host_is_followed_without_credentials(tmp_path: Path) -> None:
    with hosted(lambda peer: peer.send_range(MODEL)) as store:
        elsewhere = registry(MODEL, lambda peer: peer.send(307, location=f"http://{store.host}/data?signature=1"))
        with hosted(guarded(elsewhere, own)) as host:
            _, fetched = run(hub().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert Path(fetched.model.path).read_bytes() == MODEL
    [(path, headers)] = store.asked
    assert path == "/data?signature=1"
    assert not {"authorization", "cookie"} & {name.lower() for name in headers}


def test_a_redirect_that_comes_back_from_another_host_carries_no_credentials(tmp_path: Path) -> None:
    with hosted(lambda peer: peer.send(302, location=f"http://{peer.path[1:]}/secret")) as store:

        def away(peer: Peer) -> None:
            peer.send(302, location=f"http://{store.host}/{peer.server.host}")

        with hosted(guarded(registry(MODEL, away), own)) as host:
            assert "unauthorized: access denied" in refused(host, tmp_path)
    assert "authorization" not in {name.lower() for name in host.asked_for("/secret")[0]}


def test_a_redirect_within_the_host_keeps_the_credentials(tmp_path: Path) -> None:
    moved = registry(MODEL, lambda peer: peer.send(307, location="/moved"))
    answer: Answer = lambda peer: peer.send_range(MODEL) if peer.path == "/moved" else moved(peer)  # noqa: E731
    with hosted(guarded(answer, own)) as host:
        run(hub().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert [headers["Authorization"] for headers in host.asked_for("/moved")] == [f"Bearer {TOKEN}"]


def test_a_redirect_of_the_manifest_to_another_host_is_refused(tmp_path: Path) -> None:
    with (
        hosted(lambda peer: peer.send(200, manifest(CONFIG, [("model", MODEL)]))) as other,
        hosted(lambda peer: peer.send(302, location=f"http://{other.host}/")) as host,
    ):
        assert "redirects to another host" in refused(host, tmp_path)
    assert not other.asked


def test_redirects_in_a_circle_end(tmp_path: Path) -> None:
    with hosted(lambda peer: peer.send(302, location="/again")) as host:
        assert refused(host, tmp_path) == "pull model manifest: more than 5 redirects"
    assert len(host.asked) == 6


@pytest.mark.parametrize("location", ["http://store.example/x", "ftp://store.example/x", "https://user:word@store/x"])
def test_a_redirect_that_gives_up_encryption_or_brings_its_own_password_is_refused(location: str) -> None:
    with pytest.raises(Refused):
        redirected(httpx2.URL("https://registry.example/v2/"), location)


def test_what_is_compressed_is_never_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with hosted(lambda peer: peer.send(200, bomb, content_encoding="gzip")) as host:
        assert "compressed (gzip)" in refused(host, tmp_path)
    with hosted(registry(MODEL, lambda peer: peer.send(200, bomb, content_encoding="gzip"))) as host:
        assert "compressed (gzip)" in refused(host, tmp_path)
    assert [headers["Accept-Encoding"] for headers in host.asked_for("/v2/")] == ["identity"] * 3


def endless(peer: Peer) -> None:
    peer.begin(200)
    while True:
        peer.wfile.write(bytes(PIECE))


def test_an_endless_manifest_is_given_up_at_its_bound(tmp_path: Path) -> None:
    with hosted(endless) as host:
        assert refused(host, tmp_path) == f"pull model manifest: the answer is longer than {MANIFEST_BYTES} bytes"


def test_an_endless_blob_is_read_to_its_size_only_and_not_kept(tmp_path: Path) -> None:
    with hosted(registry(MODEL, endless)) as host, pytest.raises(HashMismatch):
        run(hub().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert left(tmp_path / "blobs") == []


def test_wrong_bytes_are_named_by_their_hash_and_not_kept(tmp_path: Path) -> None:
    wrong = bytes(len(MODEL))
    with hosted(registry(MODEL, lambda peer: peer.send_range(wrong))) as host, pytest.raises(HashMismatch) as caught:
        run(hub().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert f"sha256:{caught.value.data['actual']}" == digest(wrong)
    assert left(tmp_path / "blobs") == []


def test_a_blob_of_another_length_than_the_manifest_says_is_refused_at_once(tmp_path: Path) -> None:
    with hosted(registry(MODEL, lambda peer: peer.send(200, MODEL + b"more"))) as host:
        assert f"has {len(MODEL) + 4} bytes there, its manifest says {len(MODEL)}" in refused(host, tmp_path)


def answers(body: bytes, config: bytes = CONFIG) -> Answer:
    return lambda peer: peer.send(200, body if "/manifests/" in peer.path else config)


@pytest.mark.parametrize(
    ("layers", "config", "said"),
    [
        ([("model", MODEL), ("tensor", b"x")], CONFIG, "safetensors"),
        ([("system", b"x")], CONFIG, "without weights"),
        ([("application/vnd.docker.image.rootfs.diff.tar.gzip", b"x")], CONFIG, "without weights"),
        ([], b'{"remote_host":"https://ollama.com:443"}', "cloud models do not run here"),
        ([("model", MODEL)], b'{"model_format":"safetensors"}', "'safetensors' format"),
        ([("model", MODEL)], b'{"model_format":[]}', "its config cannot be read"),
        ([("system", b"x")] * 1001, CONFIG, "its manifest cannot be read"),
    ],
)
def test_a_manifest_of_what_does_not_run_here_says_what_it_is(
    tmp_path: Path, layers: Layers, config: bytes, said: str
) -> None:
    with hosted(answers(manifest(config, layers), config)) as host:
        assert said in refused(host, tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": "sha256:" + "../" * 21 + "x"},
        {"digest": "sha256:../../../../etc/passwd"},
        {"digest": "sha256:" + "A" * 64},
        {"digest": "sha256:" + "0" * 64 + "\n"},
        {"size": -1},
        {"size": 2**60},
        {"size": None},
    ],
)
def test_a_layer_with_a_bad_digest_or_size_is_refused_before_any_blob(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    body = json.dumps({"layers": [{**layer("model", MODEL), **changed}], "config": layer(CONFIG_TYPE, CONFIG)})
    with hosted(answers(body.encode())) as host:
        refused(host, tmp_path)
    assert not host.asked_for("/blobs/")
    with pytest.raises(PullError):
        blobs.place(tmp_path, str(changed.get("digest", "")))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_none_is_told(tmp_path: Path, body: bytes) -> None:
    with hosted(answers(body)) as host:
        assert "its manifest cannot be read" in refused(host, tmp_path)


@pytest.mark.parametrize(
    ("kind", "content"), [("params", b"[1]"), ("params", b'{"stop":7}'), ("messages", b"{}"), ("template", b"\xff")]
)
def test_a_text_layer_that_makes_no_sense_is_told(tmp_path: Path, kind: str, content: bytes) -> None:
    good = registry(MODEL, lambda peer: peer.send_range(MODEL), [(kind, content)])
    with hosted(good) as host, pytest.raises(PullError, match="its "):
        run(hub().fetch(f"{host.host}/ns/model", tmp_path / "models"))


def test_a_text_layer_too_large_for_memory_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    large = {**layer("license", b""), "size": 5 << 20}
    with hosted(answers(json.dumps({"layers": [layer("model", MODEL), large]}).encode())) as host:
        assert "is text of 5242880 bytes" in refused(host, tmp_path)


def test_a_refusal_is_told_with_its_status_and_the_beginning_of_its_words(tmp_path: Path) -> None:
    with hosted(lambda peer: peer.send(412, b"needs\n a newer\x1b[31m one: " + b"x" * 5000)) as host:
        said = refused(host, tmp_path)
    assert said.startswith("pull model manifest: 412: needs a newer[31m one: xxx")
    assert len(said) == len("pull model manifest: 412: ") + 200


def test_without_room_nothing_is_fetched(tmp_path: Path) -> None:
    with hosted(registry(MODEL, lambda peer: peer.send_range(MODEL))) as host, pytest.raises(DiskFull) as caught:
        run(OllamaRegistry(insecure=True, free=lambda _: 5).fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert caught.value.data["needed"] == len(MODEL)
    assert not host.asked_for(digest(MODEL))


def test_a_server_without_tls_is_told_and_what_would_help(tmp_path: Path) -> None:
    with (
        hosted(registry(MODEL, lambda peer: peer.send(500))) as host,
        pytest.raises(PullError, match=r"^pull model manifest: no TLS connection with 127\.0\.0\.1.*--insecure"),
    ):
        run(OllamaRegistry().fetch(f"{host.host}/ns/model", tmp_path / "models"))


def test_nobody_there_and_a_dead_proxy_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hosted(endless) as host:
        name = f"{host.host}/ns/model"
    with pytest.raises(PullError, match=r"^pull model manifest: 127\.0\.0\.1 cannot be reached: [^(]*$"):
        run(hub().fetch(name, tmp_path / "models"))
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:word@{host.host}")
    with pytest.raises(PullError, match=r"names a proxy: 127\.0\.0\.1\)$"):
        run(hub().fetch(name, tmp_path / "models"))


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("gemma3:4b", True),
        (" me/model:tag ", True),
        ("localhost:5000/ns/model:tag", True),
        ("http://localhost:5000/ns/model", True),
        ("hf.co/org/repo:Q4_K_M", False),
        ("HuggingFace.co/org/repo", False),
        ("pypi:package", False),
        ("星影", False),
        ("a//b", False),
    ],
)
def test_it_takes_every_name_but_those_of_other_hubs(name: str, taken: bool) -> None:
    assert OllamaRegistry().takes(name) is taken


def test_http_is_spoken_where_it_was_asked_for_or_does_not_leave_the_machine() -> None:
    def base(name: str, *, insecure: bool = False) -> str:
        return address(name, names.parse(name).host, insecure=insecure)

    assert base("gemma3") == "https://registry.ollama.ai"
    assert base("localhost:5000/ns/m") == "https://localhost:5000"
    assert base("http://localhost:5000/ns/m") == "http://localhost:5000"
    assert base("http://127.0.0.1:5000/ns/m") == "http://127.0.0.1:5000"
    assert base("registry.example/ns/m", insecure=True) == "http://registry.example"
    with pytest.raises(PullError, match=r"^pull model manifest: insecure protocol http"):
        base("http://registry.example/ns/m")


def test_the_plan_names_the_source_and_asks_nobody(tmp_path: Path) -> None:
    planned = OllamaRegistry().plan(" gemma3:4b ", tmp_path / "models")
    assert (planned.name, planned.model.origin) == ("gemma3:4b", "registry.ollama.ai/library/gemma3:4b")
    with pytest.raises(BadName):
        OllamaRegistry().plan("星影", tmp_path)


def test_layers_of_unknown_types_are_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with hosted(registry(MODEL, lambda peer: peer.send_range(MODEL), [("skill", b"?")])) as host:
        run(hub().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert f"{KIND}skill" in caplog.text
    assert not host.asked_for(digest(b"?"))
