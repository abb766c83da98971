"""Debian's real `docker-registry` on a free port, with a folder of its own, and pushes to it over its HTTP API."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

PROGRAM = "docker-registry"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
KIND = "application/vnd.ollama.image."
CONFIGURATION = """
version: 0.1
log: {{level: info}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:0", http2: {{disabled: true}}}}
"""
LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")

Layers = list[tuple[str, bytes]]
"""Media types, or the ends of Ollama's, and contents."""


def needed(program: str = PROGRAM) -> None:
    """Skip without the program; on a machine that lands changes that is a failure."""
    if shutil.which(program):
        return
    if os.environ.get("CI") == "1":
        pytest.fail(f"{program} is missing: run `make system` as root")
    pytest.skip(f"{program} is not installed: `make system` as root does it")


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Its host and port."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "config.yml"
    configuration.write_text(CONFIGURATION.format(folder=folder / "store"))
    with subprocess.Popen(
        [PROGRAM, "serve", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        rest = threading.Thread(target=process.stderr.read)  # a full pipe would stop it
        try:
            found = next(filter(None, map(LISTENING.search, process.stderr)))
            rest.start()
            yield found[1]
        finally:
            process.terminate()
            process.wait()
            if rest.ident:
                rest.join()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind if "/" in kind else KIND + kind, "digest": digest(content), "size": len(content)}


def manifest(config: bytes | None, layers: Layers) -> bytes:
    described: dict[str, object] = {"schemaVersion": 2, "mediaType": MANIFEST}
    if config is not None:
        described["config"] = layer(CONFIG, config)
    return json.dumps({**described, "layers": [layer(*each) for each in layers]}).encode()


def push(host: str, repository: str, tag: str, config: bytes, layers: Layers) -> None:
    """By the registry's own HTTP API."""
    with httpx.Client(base_url=f"http://{host}/v2/{repository}", timeout=30) as client:
        for content in [config, *(content for _, content in layers)]:
            started = client.post("/blobs/uploads/").raise_for_status()
            client.put(started.headers["location"], params=upload(started, content), content=content).raise_for_status()
        body, headers = manifest(config, layers), {"Content-Type": MANIFEST}
        client.put(f"/manifests/{tag}", content=body, headers=headers).raise_for_status()


def upload(started: httpx.Response, content: bytes) -> dict[str, str]:
    """The parameters of the address that takes the content: those it has, and the digest."""
    return {**httpx.URL(started.headers["location"]).params, "digest": digest(content)}
