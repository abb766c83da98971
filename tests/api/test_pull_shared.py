"""Pulls through the real server from a hub that holds its breath: shared, cancelled, killed, gone on with."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.models.hubs.hub_app import Content, Hub, served
from tests.program import Program, serve

NAME = "hf.co/org/repo:Q4_K_M"
MEBI = 1 << 20
HELD_AT = 400_000


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """It sends the first 40 % and waits."""
    data = make_tiny(tmp_path / "tiny.gguf").read_bytes().ljust(MEBI, b"\0")
    with served(Hub({"tiny-Q4_K_M.gguf": Content(data)}, hold_at=HELD_AT)) as it:
        yield it


@pytest.fixture
def server(hub: Hub, tmp_path: Path) -> Iterator[Program]:
    with serve(tmp_path / "home", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf")) as program:
        yield program
        hub.released.set()


@contextmanager
def pulling(server: Program, path: str = "/api/pull") -> Iterator[Iterator[dict[str, object]]]:
    """The lines of a pull as they come; leaving closes the connection."""
    with (
        httpx.Client(base_url=server.url, timeout=60) as client,
        client.stream("POST", path, json={"model": NAME}) as reply,
    ):
        yield (json.loads(line) for line in reply.iter_lines())


def until_bytes(lines: Iterator[dict[str, object]]) -> None:
    """Until some of the file has arrived."""
    next(line for line in lines if line.get("completed"))


def jobs(server: Program) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if "hoshikage.jobs.child" in child.cmdline()]


def test_two_clients_follow_one_download(server: Program, hub: Hub) -> None:
    with pulling(server) as first, pulling(server) as second:
        until_bytes(first)
        until_bytes(second)
        assert len(jobs(server)) == 1
        hub.released.set()
        assert [list(lines)[-1] for lines in (first, second)] == [{"status": "success"}] * 2
    assert len(hub.transfers()) == 1
    assert httpx.get(f"{server.url}/api/tags").json()["models"][0]["name"] == NAME


def test_the_first_client_may_leave_without_harm_to_the_second(server: Program, hub: Hub) -> None:
    with pulling(server) as second:
        with pulling(server) as first:
            until_bytes(first)
            until_bytes(second)
        hub.released.set()
        assert list(second)[-1] == {"status": "success"}
    assert len(hub.transfers()) == 1


def test_when_the_last_client_leaves_the_download_ends_and_can_go_on(server: Program, hub: Hub) -> None:
    with pulling(server) as lines:
        until_bytes(lines)
        (job,) = jobs(server)
    assert job.wait(30) is not None or not job.is_running()
    hub.released.set()
    with pulling(server) as lines:
        done = [int(str(line["completed"])) for line in lines if line.get("completed")]
    assert (done, done[-1]) == (sorted(done), MEBI)
    assert int((hub.transfers()[-1].range or "").removeprefix("bytes=").partition("-")[0]) > 0


def test_a_download_killed_at_40_percent_is_told_and_resumed(server: Program, hub: Hub) -> None:
    with pulling(server) as lines:
        until_bytes(lines)
        os.kill(jobs(server)[0].pid, signal.SIGKILL)
        assert "ended unexpectedly" in str(list(lines)[-1]["error"])
    hub.released.set()
    with pulling(server) as lines:
        assert list(lines)[-1] == {"status": "success"}
    assert len(hub.transfers()) == 2
    assert int((hub.transfers()[-1].range or "").removeprefix("bytes=").partition("-")[0]) > 0


def test_no_download_outlives_a_gateway_that_was_killed(server: Program, hub: Hub) -> None:
    with pulling(server) as lines:
        until_bytes(lines)
        (job,) = jobs(server)
        server.process.kill()
        server.process.wait(10)
        psutil.wait_procs([job], timeout=30)
        assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE
