"""What goes wrong between gateway and worker stays between them: garbage, hangs, ends at odd moments."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.engine import wire
from hoshikage.engine.client import Engine, Link
from hoshikage.errors import EngineCrashed, LoadFailed
from tests.engine.test_engine import ask, load, said

STRANGER = """
import os, socket, sys, time
link = socket.socket(fileno=int(sys.argv[1]))
link.recv(1)
link.sendall(bytes.fromhex(sys.argv[2]))
time.sleep(600)
"""
GARBAGE = {
    "a frame over the limit": b"\xff\xff\xff\xff",
    "no MessagePack": b"\x01\x00\x00\x00\xc1",
    "an unknown event": wire.frame([wire.Cancel(1)]),
    "text that is no UTF-8": b"\x05\x00\x00\x00\x91\xa3\xff\xfe\xfd",
    "a second greeting": wire.frame([wire.LoadRefused("no")] * 2),
}


async def stranger(garbage: bytes) -> tuple[Engine, asyncio.subprocess.Process]:
    """An engine whose process answers anything with garbage, then hangs without reading."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", STRANGER, str(theirs.fileno()), garbage.hex(), pass_fds=[theirs.fileno()]
        )
    _, link = await asyncio.get_running_loop().create_unix_connection(lambda: Link(process.kill), sock=ours)
    ready = wire.Ready(window=1, allocated=1, trained=1, size=1, size_vram=0, bos="", eos="")
    return Engine(process, link, ready, load(Path("stranger.gguf"), n_ctx=1)), process


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_worker_that_sends_garbage_is_ended_at_once_and_alone(garbage: bytes, tmp_path: Path) -> None:
    good = await Engine.start(load(make_tiny(tmp_path / "tiny.gguf"), n_ctx=256))
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # it is logged
    bad, process = await stranger(garbage)
    stream = asyncio.ensure_future(said(good, ask("x", new=100)))
    with pytest.raises(EngineCrashed, match="it sent what is no event"):
        await said(bad, ask("x"))
    assert await process.wait() == -signal.SIGKILL
    await asyncio.gather(bad.close(), stream)
    await good.close()


def test_a_worker_whose_gateway_leaves_words_unread_ends_too(tmp_path: Path) -> None:
    """Closing a socket with unread data resets the connection: that is an end as well."""
    ours, theirs = socket.socketpair()
    ours.sendall(wire.frame([load(make_tiny(tmp_path / "tiny.gguf"))]))
    command = [sys.executable, "-m", "hoshikage.engine.worker", str(theirs.fileno()), str(os.getpid())]
    with theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as worker:
        ours.recv(1, socket.MSG_PEEK)  # it is ready
        theirs.close()
        ours.close()
        assert worker.wait(20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the end of the socket tells")
def test_a_worker_whose_parent_is_gone_before_it_has_begun_ends_by_itself(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(wire.frame([load(make_tiny(tmp_path / "tiny.gguf"))]))
    command = [sys.executable, "-m", "hoshikage.engine.worker", str(theirs.fileno()), "1"]
    assert subprocess.run(command, pass_fds=[theirs.fileno()], check=False, timeout=60).returncode == 1
    ours.close()
    theirs.close()


async def test_a_hung_worker_is_killed_where_it_is_not_waited_for(tmp_path: Path) -> None:
    starting = asyncio.ensure_future(Engine.start(load(make_tiny(tmp_path / "tiny.gguf")), timeout_seconds=3))
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    while not (new := set(children.read_text().split()) - before):
        await asyncio.sleep(0)
    os.kill(int(new.pop()), signal.SIGSTOP)
    with pytest.raises(LoadFailed, match="not loaded within 3 seconds"):
        await starting
    assert set(children.read_text().split()) <= before


async def test_a_worker_killed_before_its_first_request_is_told_to_that(tmp_path: Path) -> None:
    engine = await Engine.start(load(make_tiny(tmp_path / "tiny.gguf")))
    os.kill(engine.pid, signal.SIGKILL)
    async with aclosing(engine.generate(ask("x"))) as events:
        with pytest.raises(EngineCrashed, match="signal 9"):
            await anext(events)
    await engine.close()
