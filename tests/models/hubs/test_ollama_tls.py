"""Pulls over TLS, from a registry with a certificate of the test's own."""

import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from hoshikage.errors import PullError
from hoshikage.models.hubs.ollama import OllamaRegistry
from tests.models.hubs.docker_registry import needed
from tests.models.hubs.index import MODEL, run
from tests.models.hubs.peer import Peer, hosted, registry

MAKE = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key, for 127.0.0.1."""
    needed("openssl")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [*MAKE.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", "-"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    path.write_text(path.read_text() + made)
    return path


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    monkeypatch.setenv("NO_PROXY", "*")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_model_comes_over_tls_by_the_certificate_that_the_user_trusts(
    tls: ssl.SSLContext, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with hosted(registry(MODEL, lambda peer: peer.send_range(MODEL)), tls) as host:
        _, fetched = run(OllamaRegistry().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert Path(fetched.model.path).read_bytes() == MODEL


def test_an_unknown_certificate_is_told(tls: ssl.SSLContext, tmp_path: Path) -> None:
    said = r"^pull model manifest: the TLS certificate of 127\.0\.0\.1 is not trusted: self-signed certificate"
    with hosted(registry(MODEL, lambda peer: peer.send(500)), tls) as host, pytest.raises(PullError, match=said):
        run(OllamaRegistry().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert not host.asked


def test_a_redirect_from_https_to_http_is_not_followed(
    tls: ssl.SSLContext, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with hosted(lambda peer: peer.send_range(MODEL)) as plain:
        away = registry(MODEL, lambda peer: peer.send(307, location=f"http://{plain.host}/"))
        with hosted(away, tls) as host, pytest.raises(PullError, match="from https to http"):
            run(OllamaRegistry().fetch(f"{host.host}/ns/model", tmp_path / "models"))
    assert not plain.asked


def test_closing_a_pull_ends_a_connection_over_tls_too(
    tls: ssl.SSLContext, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    ended = threading.Event()

    def blob(peer: Peer) -> None:
        peer.begin(200, content_length=str(len(MODEL)))
        peer.wfile.write(MODEL[:1000])
        try:
            peer.rfile.read(1)
        finally:
            ended.set()

    with hosted(registry(MODEL, blob), tls) as host:
        steps = OllamaRegistry().fetch(f"{host.host}/ns/model", tmp_path / "models")
        while (next(steps).completed or 0) != 1000:
            pass
        steps.close()
        assert ended.wait(20)
