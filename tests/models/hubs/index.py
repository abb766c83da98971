"""A small package index of the tests' own: wheels in a folder, or behind a server that is slow with some of them."""

import contextlib
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from hoshikage.models.hubs.base import Fetched, Progress, Steps
from hoshikage.models.hubs.joined import Part
from hoshikage.models.hubs.package_index import Pinned

MODEL = b"GGUF" + bytes(range(256)) * 400


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def part(content: bytes, **more: object) -> Part:
    fields: dict[str, object] = {
        "version": "1.0",
        "sha256": sha256(content),
        "size": len(content),
        "package_size": 1000,
        **more,
    }
    return Part(**fields)  # type: ignore[arg-type]


def pinned(**more: object) -> Pinned:
    """MODEL whole in one package, as `small`; `more` are fields of its part."""
    only = part(MODEL, **{"distribution": "small-model", "file": "small.gguf", **more})
    return Pinned(
        name="small",
        distribution=only.distribution,
        file=only.file,
        sha256=only.sha256,
        licence="MIT",
        parts=(only,),
    )


def split(contents: list[bytes], **more: object) -> Pinned:
    """A model in as many packages as there are contents, as `large`; `more` are fields of every part."""
    parts = [
        part(content, distribution=f"large-part{number}", file=f"large.gguf.part{number:02}", **more)
        for number, content in enumerate(contents)
    ]
    return Pinned(
        name="large",
        distribution="large",
        file="large.gguf",
        sha256=sha256(b"".join(contents)),
        licence="MIT",
        parts=tuple(parts),
    )


def add_wheel(folder: Path, distribution: str, file: str, content: bytes, version: str = "1.0") -> Path:
    """Put a package with one file in it into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    package = distribution.replace("-", "_")
    path, info = folder / f"{package}-{version}-py3-none-any.whl", f"{package}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{package}/{file}", content)
        wheel.writestr(f"{package}/__init__.py", "raise RuntimeError('code of a package is never run')")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def environ(index: Path | str) -> dict[str, str]:
    """pip's environment for an index: a folder of wheels, or a URL."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    where = {"PIP_INDEX_URL": index} if isinstance(index, str) else {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    return {**kept, **where, "PIP_CONFIG_FILE": os.devnull}


def run(steps: Steps) -> tuple[list[Progress], Fetched]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            fetched: Fetched = end.value
            return seen, fetched


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def processes(word: str) -> list[int]:
    """The ids of the processes with this word in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ends meanwhile
            found += [int(path.parent.name)] if word.encode() in path.read_bytes() else []
    return found


SERVER = """
import http.server, pathlib, sys, time
folder, slow = pathlib.Path(sys.argv[1]), sys.argv[2]
class Index(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if name.startswith(slow):
            self.answer(bytes(600_000), 5_000_000)
            for _ in range(600):
                self.wfile.write(bytes(1000))
                time.sleep(0.05)
        elif name.endswith(".whl"):
            body = (folder / name).read_bytes()
            self.answer(body, len(body))
        else:
            page = "".join(f'<a href="/{path.name}">{path.name}</a>' for path in folder.glob("*.whl")).encode()
            self.answer(page, len(page))
    def answer(self, body, length):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def served(folder: Path, slow: str) -> Iterator[str]:
    """The URL of an index that serves the wheels of a folder; those that begin with `slow` never come to an end."""
    command = [sys.executable, "-c", SERVER, str(folder), slow]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/simple"
        finally:
            server.terminate()
