"""A process group ends as a whole."""

import os
import subprocess
import sys

import pytest

from hoshikage.processes import group

CHILD = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started", flush=True)
time.sleep(600)
"""
LEADER = f"""
import signal, subprocess, sys, time
if sys.argv[1] == "leader":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", {CHILD!r}])
time.sleep(600)
"""


@pytest.mark.parametrize("who", ["leader", "child"])
def test_those_that_do_not_listen_to_sigterm_end_too(who: str) -> None:
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb") as pipe, os.fdopen(writes, "wb") as out:
        with group([sys.executable, "-c", LEADER, who], os.environ, out) as process:
            out.close()
            assert pipe.readline() == b"started\n"
        assert process.returncode
        assert pipe.read() == b""  # comes to an end when no process holds the other end


def test_the_output_of_a_program_that_ends_by_itself_is_whole() -> None:
    with group([sys.executable, "-c", "print('x' * 100_000)"], os.environ, subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read() == b"x" * 100_000 + b"\n"
        assert process.wait() == 0
    assert process.stdout.closed
