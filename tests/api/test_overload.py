"""Too many clients, too large bodies, too slow ones: an answer or an honest refusal for each, and bounded memory."""

import asyncio
import json
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crowd import SHORT, answer, connected, is_served, memory_mib, post, queue
from tests.program import Program, serve

CLIENTS = 500
BODY_BYTES = 1 << 20
BODIES_MIB = 8
SOCKET_MIB = 1.0
"""What the HTTP server reads of a client before the app stops it: 128 + 256 KiB in asyncio, 192 KiB in hypercorn."""


@pytest.fixture
def program(starter: Path, tmp_path: Path) -> Iterator[Program]:
    """Room for two that run, four that wait, and few bodies."""
    small = {"NUM_PARALLEL": "2", "MAX_QUEUE": "4", "MAX_BODY_MB": "2", "MAX_BODIES_MB": str(BODIES_MIB)}
    with serve(tmp_path, starter, **small) as running:
        assert is_served(running)
        yield running


async def together(program: Program, asked: bytes) -> "Counter[int]":
    """The statuses of all clients; a 503 without a positive Retry-After fails."""
    replies = await asyncio.gather(*(answer(program, asked) for _ in range(CLIENTS)))
    assert not [reply for reply in replies if reply[0] == 503 and not 1 <= reply[1] <= 600]
    return Counter(status for status, _ in replies)


async def test_five_hundred_at_once_are_answered_or_refused(program: Program) -> None:
    before = memory_mib(program, "VmRSS")
    statuses = await together(program, post(SHORT))
    sys.stdout.write(f"{dict(statuses)}, MiB: {before:.0f} before, {memory_mib(program, 'VmHWM'):.0f} at the peak\n")
    assert set(statuses) == {200, 503}
    assert statuses[200] >= 6
    assert memory_mib(program, "VmHWM") < before + 50
    assert await asyncio.to_thread(is_served, program)
    found = queue(program)
    assert (found["running"], found["waiting"], found["refused_total"]["queue"]) == (0, 0, statuses[503])


async def test_five_hundred_large_bodies_fill_no_memory(program: Program) -> None:
    before = memory_mib(program, "VmRSS")
    large = json.dumps({**SHORT, "prompt": "word " * (BODY_BYTES // 5)}).encode()
    statuses = await together(program, post(large))
    sys.stdout.write(f"{dict(statuses)}, MiB: {before:.0f} before, {memory_mib(program, 'VmHWM'):.0f} at the peak\n")
    assert set(statuses) <= {400, 503}  # the prompt is longer than the window
    assert memory_mib(program, "VmHWM") < before + 4 * BODIES_MIB + SOCKET_MIB * CLIENTS
    assert queue(program)["refused_total"]["bodies"] > 0
    assert await asyncio.to_thread(is_served, program)


async def test_idle_sockets_do_not_stop_a_healthy_client_and_are_closed(program: Program) -> None:
    halves = (b"", b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Le")
    links = [await connected(program) for _ in range(2 * CLIENTS)]
    for number, (_, writer) in enumerate(links):
        writer.write(halves[number % 2])
    assert await asyncio.to_thread(is_served, program)
    async with asyncio.timeout(60):
        await asyncio.gather(*(reader.read() for reader, _ in links))
    for _, writer in links:
        writer.close()


async def test_the_server_survives_that_no_file_can_be_opened(program: Program) -> None:
    resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    links = [await connected(program) for _ in range(200)]
    for _, writer in links[:100]:
        writer.close()
        await writer.wait_closed()
    resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    for _, writer in links:
        writer.close()
    assert await asyncio.to_thread(is_served, program)
    assert "out of system resource" in (program.home / "serve.log").read_text(encoding="utf-8")


def test_the_server_may_open_as_many_files_as_the_system_allows(starter: Path, tmp_path: Path) -> None:
    limited = ("/bin/sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh")
    with serve(tmp_path, starter, within=limited) as program:
        soft, hard = resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard > 64
