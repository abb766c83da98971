"""How a pull's bytes arrive: slowly, in pieces, twice, after a kill, from servers that cut and ignore ranges."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoshikage.errors import HashMismatch, PullError
from hoshikage.models import blobs
from hoshikage.models.hubs import blob_lock, workplace
from hoshikage.models.hubs.base import Fetched
from hoshikage.models.hubs.ollama import OllamaRegistry
from tests.models.hubs.docker_registry import CONFIG as CONFIG_TYPE
from tests.models.hubs.docker_registry import digest, layer
from tests.models.hubs.index import left, run
from tests.models.hubs.peer import CONFIG, PIECE, Answer, Gate, Host, Peer, hosted, registry

MODEL = b"GGUF" + bytes(range(256)) * 4000
PART = len(MODEL) * 2 // 5
NAME = "ns/model"


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def pull(host: Host, folder: Path, stall_seconds: float = 5.0) -> tuple[list[int], Fetched]:
    """What was told of the model's bytes, each time, and what came of it."""
    hub = OllamaRegistry(insecure=True, stall_seconds=stall_seconds, wait_seconds=0.01)
    seen, fetched = run(hub.fetch(f"{host.host}/{NAME}", folder / "models"))
    return [each.completed or 0 for each in seen if each.digest == digest(MODEL)], fetched


def unfinished(folder: Path) -> Path:
    return blobs.partial(blobs.place(folder, digest(MODEL)))


def offsets(host: Host) -> list[int]:
    """Where each request for the model's blob began."""
    ranges = [headers.get("Range", "bytes=0-") for headers in host.asked_for(digest(MODEL))]
    return [int(each.removeprefix("bytes=").removesuffix("-")) for each in ranges]


def test_a_connection_that_is_cut_is_continued_where_it_broke(tmp_path: Path) -> None:
    with hosted(registry(MODEL, lambda peer: peer.send_range(MODEL, most=len(MODEL) // 3))) as host:
        told, fetched = pull(host, tmp_path)
        assert offsets(host) == [len(MODEL) // 3 * n for n in range(4)]
    assert Path(fetched.model.path).read_bytes() == MODEL
    assert told == sorted(told)
    assert told[-1] == len(MODEL)


def test_a_server_that_always_cuts_is_given_up_and_what_came_is_kept(tmp_path: Path) -> None:
    with hosted(registry(MODEL, lambda peer: peer.send_range(MODEL, most=1000))) as host:
        with pytest.raises(PullError, match=r"^max retries exceeded: the connection with 127\.0\.0\.1 broke"):
            pull(host, tmp_path)
        assert offsets(host) == [1000 * n for n in range(6)]
    assert unfinished(tmp_path).read_bytes() == MODEL[:6000]
    assert left(tmp_path / "blobs") == [unfinished(tmp_path).name]


def test_a_server_that_ignores_ranges_sends_again_what_is_here_and_it_is_skipped(tmp_path: Path) -> None:
    tries: list[int] = []

    def blob(peer: Peer) -> None:
        tries.append(len(tries))
        peer.begin(200, content_length=str(len(MODEL)))
        peer.wfile.write(MODEL[:PART] if len(tries) == 1 else MODEL)

    with hosted(registry(MODEL, blob)) as host:
        told, fetched = pull(host, tmp_path)
    assert len(tries) == 2
    assert Path(fetched.model.path).read_bytes() == MODEL
    assert told == sorted(told)


def test_a_server_that_leaves_bytes_out_is_refused(tmp_path: Path) -> None:
    def blob(peer: Peer) -> None:
        size = len(MODEL)
        peer.send(206, MODEL[10:], content_range=f"bytes 10-{size - 1}/{size}")

    with hosted(registry(MODEL, blob)) as host, pytest.raises(PullError, match="from byte 10 on, not from byte 0"):
        pull(host, tmp_path)


@pytest.mark.parametrize(("status", "tries"), [(503, 6), (429, 6), (404, 1), (403, 1), (416, 1)])
def test_only_what_may_pass_is_tried_again(tmp_path: Path, status: int, tries: int) -> None:
    with hosted(registry(MODEL, lambda peer: peer.send(status))) as host:
        with pytest.raises(PullError):
            pull(host, tmp_path)
        assert len(offsets(host)) == tries


def test_a_connection_that_falls_silent_is_replaced(tmp_path: Path) -> None:
    gate = Gate(MODEL, PART)

    def blob(peer: Peer) -> None:
        peer.send_range(MODEL) if "Range" in peer.headers else gate(peer)

    with hosted(registry(MODEL, blob)) as host:
        told, fetched = pull(host, tmp_path, stall_seconds=0.5)
        gate.opened.set()
        assert offsets(host) == [0, PART]
    assert Path(fetched.model.path).read_bytes() == MODEL
    assert told == sorted(told)


def test_what_was_kept_counts_only_if_the_whole_is_right(tmp_path: Path) -> None:
    path = unfinished(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(PART))
    with hosted(registry(MODEL, lambda peer: peer.send_range(MODEL))) as host:
        with pytest.raises(HashMismatch):
            pull(host, tmp_path)
        assert left(path.parent) == []
        _, fetched = pull(host, tmp_path)
        assert offsets(host) == [PART, 0]
    assert Path(fetched.model.path).read_bytes() == MODEL


@pytest.mark.parametrize("more", [0, 1, 5_000_000])
def test_a_whole_unfinished_file_needs_no_transfer_and_one_too_long_is_begun_anew(tmp_path: Path, more: int) -> None:
    path = unfinished(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(MODEL + bytes(more))
    with hosted(registry(MODEL, lambda peer: peer.send_range(MODEL))) as host:
        _, fetched = pull(host, tmp_path)
        assert offsets(host) == ([0] if more else [])
    assert Path(fetched.model.path).read_bytes() == MODEL


def test_a_file_that_nobody_continued_for_a_week_makes_room(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    folder.mkdir()
    old, young, busy = (folder / f"sha256-{digit * 64}-partial" for digit in "012")
    for path, age in ((old, 8), (young, 6), (busy, 8)):
        path.write_bytes(b"GGUF")
        os.utime(path, times=(time.time() - age * 24 * 3600,) * 2)
    lock = workplace.taken(folder / f"sha256-{'2' * 64}.lock")
    assert lock
    with lock, hosted(registry(MODEL, lambda peer: peer.send_range(MODEL))) as host:
        pull(host, tmp_path)
    assert [path.name for path in (old, young, busy) if path.exists()] == [young.name, busy.name]


def test_two_layers_with_one_digest_are_one_transfer(tmp_path: Path) -> None:
    good = registry(
        MODEL, lambda peer: peer.send_range(MODEL), [("adapter", MODEL), ("license", b"M"), ("license", b"M")]
    )
    with hosted(good) as host:
        _, fetched = pull(host, tmp_path)
        assert offsets(host) == [0]
        assert len(host.asked_for(digest(b"M"))) == 1
    assert fetched.model.adapters == (fetched.model.path,)
    assert fetched.model.license == ("M", "M")


def test_closing_a_pull_ends_the_connection_and_keeps_what_came(tmp_path: Path) -> None:
    ended = threading.Event()

    def blob(peer: Peer) -> None:
        peer.begin(200, content_length=str(len(MODEL)))
        peer.wfile.write(MODEL[:PART])
        peer.rfile.read(1)  # nothing more is sent on it: this returns when it ends
        ended.set()

    with hosted(registry(MODEL, blob)) as host:
        steps = OllamaRegistry(insecure=True).fetch(f"{host.host}/{NAME}", tmp_path / "models")
        while (next(steps).completed or 0) < PART:
            pass
        steps.close()
        assert ended.wait(20)
    assert unfinished(tmp_path).read_bytes() == MODEL[:PART]
    assert left(tmp_path / "blobs") == [unfinished(tmp_path).name]


@contextlib.contextmanager
def child(host: Host, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.models.hubs.puller", f"{host.host}/{NAME}", str(folder / "models")]
    environ = {**os.environ, "NO_PROXY": "*"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: "subprocess.Popen[str]") -> Iterator[dict[str, object]]:
    assert process.stdout
    return map(json.loads, process.stdout)


def until(process: "subprocess.Popen[str]", size: int) -> None:
    """Read until so many bytes of the model are told."""
    for each in lines(process):
        completed = each.get("completed", 0)
        assert isinstance(completed, int)
        if each.get("digest") == digest(MODEL) and completed >= size:
            return
    raise AssertionError("it ended before")


def test_a_pull_that_was_killed_at_forty_percent_goes_on_from_there(tmp_path: Path) -> None:
    gate = Gate(MODEL, PART)
    with hosted(registry(MODEL, gate)) as host:
        with child(host, tmp_path) as process:
            until(process, PART)
            process.kill()
        assert unfinished(tmp_path).read_bytes() == MODEL[:PART]
        gate.opened.set()
        told, fetched = pull(host, tmp_path)
        assert offsets(host) == [0, PART]
    assert Path(fetched.model.path).read_bytes() == MODEL
    assert left(tmp_path / "blobs") == [Path(fetched.model.path).name]
    assert told == sorted(told)


def test_two_pulls_in_two_processes_transfer_once_and_both_show_it(tmp_path: Path) -> None:
    gate = Gate(MODEL, PART)
    with hosted(registry(MODEL, gate)) as host, child(host, tmp_path) as first, child(host, tmp_path) as second:
        until(first, PART)
        until(second, PART)
        assert len(offsets(host)) == 1
        gate.opened.set()
        ends = [[each for each in lines(process) if "status" in each][-1] for process in (first, second)]
        assert (first.wait(), second.wait()) == (0, 0)
        assert offsets(host) == [0]
    assert ends == [{"status": "verifying sha256 digest"}] * 2
    assert left(tmp_path / "blobs") == [blobs.place(tmp_path, digest(MODEL)).name]


def test_who_waits_for_a_pull_that_is_killed_takes_it_over(tmp_path: Path) -> None:
    gate = Gate(MODEL, PART)
    with hosted(registry(MODEL, gate)) as host, child(host, tmp_path) as first:
        until(first, PART)
        with child(host, tmp_path) as second:
            until(second, PART)
            first.kill()
            gate.opened.set()
            assert [each for each in lines(second) if "status" in each][-1] == {"status": "verifying sha256 digest"}
        assert offsets(host) == [0, PART]
    assert blobs.place(tmp_path, digest(MODEL)).read_bytes() == MODEL


def test_what_is_told_never_shrinks_though_the_pull_that_was_watched_lost_bytes(tmp_path: Path) -> None:
    path = unfinished(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(MODEL[:PART])
    lock = workplace.taken(blob_lock.lock_of(blobs.place(tmp_path, digest(MODEL))))
    assert lock
    with hosted(registry(MODEL, lambda peer: peer.send_range(MODEL, most=len(MODEL) // 3))) as host:
        steps = OllamaRegistry(insecure=True, wait_seconds=0.01).fetch(f"{host.host}/{NAME}", tmp_path / "models")
        while (next(steps).completed or 0) < PART:
            pass
        os.truncate(path, 1000)
        lock.close()
        told = [each.completed or 0 for each in steps if each.digest == digest(MODEL)]
        assert offsets(host)[0] == 1000
    assert told == sorted(told)
    assert told[0] == PART


def zeros(size: int) -> Answer:
    """A model of so many zero bytes, which nobody holds."""
    hashed = hashlib.sha256()
    for _ in range(size // PIECE):
        hashed.update(bytes(PIECE))
    model = {**layer("model", b""), "digest": f"sha256:{hashed.hexdigest()}", "size": size}
    manifest = json.dumps({"layers": [model], "config": layer(CONFIG_TYPE, CONFIG)}).encode()

    def answer(peer: Peer) -> None:
        if "/manifests/" in peer.path or peer.path.endswith(digest(CONFIG)):
            peer.send(200, manifest if "/manifests/" in peer.path else CONFIG)
            return
        peer.begin(200, content_length=str(size))
        for _ in range(size // PIECE):
            peer.wfile.write(bytes(PIECE))

    return answer


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    size = PIECE * 4800
    with hosted(zeros(size)) as host, child(host, tmp_path) as process:
        *steps, last = lines(process)
    assert steps[-1] == {"status": "verifying sha256 digest"}
    assert [path.stat().st_size for path in (tmp_path / "blobs").iterdir()] == [size]
    assert isinstance(last["peak"], int)
    assert last["peak"] < 120 << 20, last
