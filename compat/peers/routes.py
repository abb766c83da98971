"""How long the routes take that need no model, with 200 models registered.

Targets: at most 5 ms at the median while nothing else is asked, at most 50 ms at the 99th percentile while 8 streams
decode. The models are links to one tiny file; the one that decodes is the starter.

The streams are read by a process of their own, so that nobody waits here for Python's lock. Before each request, one
byte goes to a process that sends it back, and before what changes the map, a file of its size is written as the map is:
what these take is the machine's share and not the server's, and is told beside the rest.
"""

import hashlib
import http.client
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack
from urllib.parse import urlsplit

import httpx

from fixtures.tiny_gguf import make_tiny
from hoshikage import atomic
from hoshikage.models.home import registry_of
from hoshikage.settings import Settings
from tests.conftest import pulled
from tests.program import Program, serve

MODELS, STREAMS = 200, 8
IDLE_CALLS, BUSY_CALLS = 60, 100
MEDIAN_MS, P99_MS = 5.0, 50.0
DATA = b"a blob"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
MIRROR = "(a byte to a process that sends it back)"
DISK = "(a file flushed and renamed)"
MAP_BYTES = 100_000
STORY = {"model": "starter", "prompt": "Tell me a very long story.", "options": {"num_predict": 400, "stop": []}}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and the status that it must have."""

    method: str
    path: str
    body: object = None
    status: int = 200

    @property
    def key(self) -> str:
        """Tells it from the others, for people too."""
        name = self.body.get("model", "") if isinstance(self.body, dict) else ""
        ends = "" if self.status == 200 else f" → {self.status}"
        return " ".join(filter(None, (self.method, self.path.replace(DIGEST, ":digest"), name))) + ends


CALLS = (
    Call("GET", "/"),
    Call("HEAD", "/"),
    Call("GET", "/api/version"),
    Call("GET", "/api/status"),
    Call("GET", "/api/tags"),
    Call("GET", "/api/ps"),
    Call("POST", "/api/show", {"model": "model-7"}),
    Call("POST", "/api/show", {"model": "starter"}),
    Call("POST", "/api/copy", {"source": "model-7", "destination": "copied"}),
    Call("DELETE", "/api/delete", {"model": "copied"}),
    Call("HEAD", f"/api/blobs/{DIGEST}"),
    Call("POST", f"/api/blobs/{DIGEST}", DATA.decode()),
    Call("POST", "/api/chat", {"model": "nope"}, 404),
    Call("POST", "/api/generate", {"model": "nope"}, 404),
    Call("POST", "/api/embed", {"model": "nope"}, 404),
    Call("POST", "/api/create", {"model": "x"}, 400),
    Call("POST", "/api/push", {"model": "model-7"}, 501),
    Call("POST", "/api/me", status=401),
    Call("POST", "/api/experimental/web_search", {}, 403),
    Call("GET", "/api/nope", status=404),
    Call("GET", "/v1/models"),
    Call("GET", "/v1/models/model-7"),
    Call("GET", "/v1/status"),
)


def main() -> int:
    if len(sys.argv) > 1:
        return {"read": read_streams, "echo": send_back}[sys.argv[1]](*sys.argv[2:])
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        register(home, make_tiny(home / "tiny.gguf"))
        with serve(home, pulled("starter")) as program, echo() as mirror:
            httpx.post(f"{program.url}/api/blobs/{DIGEST}", content=DATA).raise_for_status()
            idle = measured(program, mirror, IDLE_CALLS)
            with streams(program.url):
                began, before = time.monotonic(), sampled(program.url)
                busy = measured(program, mirror, BUSY_CALLS)
                speed = (sampled(program.url) - before) / (time.monotonic() - began)
    print(f"{MODELS} models; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; streams of {speed:.0f} tokens/s\n")
    print(f"| request | idle: median (≤ {MEDIAN_MS:g} ms) | p99 | {STREAMS} streams: median | p99 (≤ {P99_MS:g} ms) |")
    print("|---|---|---|---|---|")
    for machine in (MIRROR, DISK):
        told(machine, idle[machine], busy[machine])
    return max([told(each.key, idle[each.key], busy[each.key]) for each in CALLS])


def told(what: str, idle: list[float], loaded: list[float]) -> int:
    """Print a row; 1 if a target was missed."""
    middle, worst = statistics.median(idle), p99(loaded)
    missed = [mark for mark, bad in (("idle", middle > MEDIAN_MS), ("busy", worst > P99_MS)) if bad]
    cells = (f"{middle:.1f}", f"{p99(idle):.1f}", f"{statistics.median(loaded):.1f}", f"{worst:.1f}")
    print(f"| {what}{' **missed**' if missed else ''} | {' | '.join(cells)} |", flush=True)
    return int(bool(missed))


def p99(times: list[float]) -> float:
    return sorted(times)[max(0, len(times) * 99 // 100 - 1)]


def measured(program: Program, mirror: socket.socket, calls: int) -> dict[str, list[float]]:
    """Milliseconds of each call on one connection; all kinds in turn, so that a bad moment meets all of them."""
    found: dict[str, list[float]] = {key: [] for key in (MIRROR, DISK, *(each.key for each in CALLS))}
    connection = http.client.HTTPConnection(urlsplit(program.url).netloc)
    for _ in range(calls):
        for each in CALLS:
            if each.path in {"/api/copy", "/api/delete"}:
                found[DISK].append(flushed(program.home / "beside"))
            found[MIRROR].append(there_and_back(mirror))
            found[each.key].append(timed(connection, each))
    connection.close()
    return found


def sampled(url: str) -> int:
    """Tokens that the model has said."""
    return int(httpx.get(f"{url}/v1/status").json()["models"][0]["tokens_sampled"])


def there_and_back(mirror: socket.socket) -> float:
    started = time.perf_counter()
    mirror.sendall(b"x")
    mirror.recv(1)
    return (time.perf_counter() - started) * 1000


def flushed(file: Path) -> float:
    started = time.perf_counter()
    atomic.write(file, bytes(MAP_BYTES))
    return (time.perf_counter() - started) * 1000


def timed(connection: http.client.HTTPConnection, call: Call) -> float:
    body = call.body if isinstance(call.body, str | None) else json.dumps(call.body)
    started = time.perf_counter()
    connection.request(call.method, call.path, body)
    reply = connection.getresponse()
    reply.read()
    taken = time.perf_counter() - started
    assert reply.status == call.status, f"{call}: {reply.status}"
    return taken * 1000


class How(TypedDict, total=False):
    """What of Popen's arguments is of use here."""

    pass_fds: tuple[int, ...]
    stdout: int


@contextmanager
def echo() -> Iterator[socket.socket]:
    """A socket to a process that sends back what it gets."""
    ours, theirs = socket.socketpair()
    with ours, helper("echo", str(theirs.fileno()), pass_fds=(theirs.fileno(),)):
        theirs.close()
        yield ours
        ours.shutdown(socket.SHUT_RDWR)


def send_back(number: str) -> int:
    with socket.socket(fileno=int(number)) as link:
        while data := link.recv(1):
            link.sendall(data)
    return 0


@contextmanager
def streams(url: str) -> Iterator[None]:
    """Eight answers that are always under way, from before the context until its end."""
    with helper("read", url, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"begun\n"
        try:
            yield
        finally:
            reader.kill()


def read_streams(url: str) -> int:
    """Read eight answers at a time for ever; tells when the first ones have begun."""
    begun = threading.Barrier(STREAMS + 1)

    def read() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        for number in itertools.count():
            connection.request("POST", "/api/generate", json.dumps(STORY))
            reply = connection.getresponse()
            reply.read1()
            if not number:
                begun.wait()
            while reply.read1():
                pass

    for _ in range(STREAMS):
        threading.Thread(target=read, daemon=True).start()
    begun.wait()
    print("begun", flush=True)
    threading.Event().wait()
    return 0


def helper(*arguments: str, **how: Unpack[How]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "compat.peers.routes", *arguments], **how)


def register(home: Path, file: Path) -> None:
    """Each model is a link of its own, registered as by `hoshikage add`: nothing is left for the server to do."""
    registry = registry_of(Settings.load(environ={"HOSHIKAGE_HOME": str(home)}, cwd=home))
    for number in range(MODELS):
        link = file.with_name(f"model-{number}.gguf")
        link.symlink_to(file)
        registry.add(link, link.stem)


if __name__ == "__main__":
    sys.exit(main())
