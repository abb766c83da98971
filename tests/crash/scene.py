"""The real server with two models: the starter, whose worker dies, and a tiny one, whose streams must not notice."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from fixtures.tiny_gguf import make_tiny
from tests.crash.asked import Asked
from tests.crash.victim import Missed, children, gone, state, until, used, workers
from tests.program import Program, hoshikage, ramdisk_of, serve

SETTINGS = {"N_CTX": "4096", "N_BATCH": "32", "IDLE_TIMEOUT_SECONDS": "-1", "RAMDISK_PATH": "off"}
OTHER_TOKENS = 1500
TALE = "The old bridge was painted red, and nobody remembered why. " * 45
"""Some 600 tokens: a snapshot of 13 MB, which takes some milliseconds to write and to read."""
NUDGE_BYTES = 1_000_000
FRANCE = {"prompt": "The capital of France is", "raw": True, "options": {"num_predict": 4, "temperature": 0}}


CLOSE_WAIT = "08"


@dataclass
class Scene:
    """The server, and how much memory it had after each round, in bytes."""

    program: Program
    client: httpx.Client
    resident: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.program.process.pid

    def ask(self, body: dict[str, Any], model: str = "starter", route: str = "/api/generate") -> Asked:
        return Asked(self.program.url, {"model": model, **body}, route)

    def answer(self, body: dict[str, Any], model: str = "starter") -> Any:
        reply = self.client.post("/api/generate", json={"model": model, "stream": False, **body})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def worker(self, model: str = "starter") -> Any:
        """What the server tells of the model's worker; an empty object if it has none."""
        models = self.client.get("/v1/status").json()["models"]
        return next((each for each in models if each["name"] == model), {})

    def loaded(self) -> int:
        """The process that has the starter loaded, and works."""
        self.answer(FRANCE)
        return int(self.worker()["pid"])

    def unload(self) -> None:
        """Returns when the worker has ended."""
        if pid := self.worker().get("pid"):
            self.answer({"keep_alive": 0})
            until(lambda: gone(pid), "it is not unloaded")

    def partials(self) -> list[Path]:
        folders = [self.program.home, ramdisk_of(self.program.home)]
        return [path for folder in folders for path in folder.glob("**/kv/*/*.partial")]

    def other(self) -> Asked:
        """A stream of the other model that has begun and not ended."""
        options = {"num_predict": OTHER_TOKENS, "temperature": 0}
        asked = self.ask({"prompt": "x", "raw": True, "options": options}, "other")
        until(lambda: asked.lines or not asked.is_alive(), "the other model says nothing")
        if asked.finished:
            raise Missed("the other stream has ended")
        return asked

    @contextlib.contextmanager
    def nudge(self) -> Iterator[None]:
        """A large request on its way to the starter's worker, whose client then leaves."""
        url = urlsplit(self.program.url)
        body = json.dumps({"model": "starter", "prompt": "word " * (NUDGE_BYTES // 5), "raw": True}).encode()
        head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((url.hostname or "", url.port or 0)) as link:
            link.sendall(head.encode() + body)
            yield

    def assert_well(self) -> None:
        """The starter answers as ever; two workers, no zombie; descriptors as before; the memory is noted."""
        assert "Paris" in self.answer(FRANCE)["response"]
        expected = {int(self.worker()["pid"]), int(self.worker("other")["pid"])}
        until(lambda: children(self.pid) == expected == workers(self.pid), "a process is left", 10)
        assert "Z" not in {state(pid) for pid in children(self.pid)}
        self.resident.append(used(self.pid, "VmRSS"))


def descriptors(pid: int) -> list[str]:
    """What a process has open, but for connections that their clients have closed: those end at the HTTP server's next
    look, up to 20 seconds later."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(each.readlink()))
    left = {f"socket:[{inode}]" for inode in left_by_clients()}
    return [each for each in found if each not in left]


def left_by_clients() -> Iterator[str]:
    """The inodes of sockets whose other end is closed."""
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        state, inode = row.split()[3], row.split()[9]
        if state == CLOSE_WAIT:
            yield inode


@contextlib.contextmanager
def opened(home: Path, starter: Path, **settings: str) -> Iterator[Scene]:
    """Both models loaded, and the tale told once."""
    hoshikage(home, "add", str(make_tiny(home.with_name(f"{home.name}-other.gguf"), window=4096)), "other")
    with serve(home, starter, **{**SETTINGS, **settings}) as program, program.client() as client:
        scene = Scene(program, client)
        scene.answer({"prompt": "x", "raw": True, "options": {"num_predict": 1}}, "other")
        scene.answer({"prompt": TALE, "raw": True, "options": {"num_predict": 1}})
        yield scene
