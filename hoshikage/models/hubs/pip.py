"""`pip download` as a stream of progress, in a process group of its own. Knows no model."""

import os
import re
import signal
import subprocess
from collections.abc import Generator, Mapping
from pathlib import Path

from hoshikage.errors import PipMissing, PullError

PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
VERSION = re.compile(r"pip (\d+)\.(\d+)")
RAW_SINCE = (24, 1)
"""The first pip that can print its progress as numbers."""
END_SECONDS = 5.0


def download(
    python: str, requirement: str, folder: Path, environ: Mapping[str, str]
) -> Generator[tuple[int, int], None, None]:
    """Download a wheel into `folder`; yields (done, total) bytes. Closing it ends pip and its children.

    Raises PipMissing, or PullError with pip's own last error line.
    """
    bar = "raw" if pip_version(python, environ) >= RAW_SINCE else "off"
    command = [python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"]
    command += ["--progress-bar", bar, "--dest", str(folder), requirement]
    process = subprocess.Popen(
        command,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield from _progress(process)
    finally:
        _end(process)


def pip_version(python: str, environ: Mapping[str, str]) -> tuple[int, int]:
    done = subprocess.run(
        [python, "-m", "pip", "--version"], env=dict(environ), capture_output=True, text=True, check=False
    )
    found = VERSION.search(done.stdout)
    if done.returncode or not found:
        raise PipMissing(python=python)
    return int(found[1]), int(found[2])


def _progress(process: "subprocess.Popen[str]") -> Generator[tuple[int, int], None, None]:
    assert process.stdout is not None  # noqa: S101
    most, reason = 0, "pip gave no reason"
    for line in process.stdout:
        if found := PROGRESS.match(line.strip()):
            most = max(most, int(found[1]))
            yield most, int(found[2])
        elif line.startswith("ERROR:"):
            reason = line.removeprefix("ERROR:").strip()
    if process.wait():
        raise PullError(reason=f"pip: {reason}")


def _end(process: "subprocess.Popen[str]") -> None:
    """No process of the group is left, pip's children included."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout:
        process.stdout.close()
