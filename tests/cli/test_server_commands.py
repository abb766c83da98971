"""The commands that talk to a running server: ps, stop, rm, run and --version."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.models.entry import Stored
from tests.cli.test_ollama_commands import cells, registry
from tests.program import Program, hoshikage, serve


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server with a tiny model of its own."""
    home = tmp_path_factory.mktemp("home")
    with serve(home, make_tiny(home / "tiny.gguf")) as running:
        yield running


def load(program: Program, name: str = "starter") -> None:
    assert httpx.post(f"{program.url}/api/generate", json={"model": name}, timeout=60).status_code == 200


def loaded(program: Program) -> list[str]:
    return [each["name"] for each in httpx.get(f"{program.url}/api/ps").json()["models"]]


def test_ps_has_ollamas_columns_and_stop_unloads(program: Program) -> None:
    load(program)
    heading, row = cells(hoshikage(program.home, "ps", "STAR").stdout)
    assert [cell.strip() for cell in heading] == ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    assert (row[0].strip(), row[4].strip(), row[5].strip()) == ("starter:latest", "256", "4 minutes from now")
    assert row[3].strip() in {"100% CPU", "100% GPU"} or "CPU/GPU" in row[3]
    assert hoshikage(program.home, "ps", "other").stdout.count("\n") == 1
    done = hoshikage(program.home, "stop", "starter")
    assert (done.returncode, done.stdout) == (0, "")
    program.until_gone()


def test_stopping_what_is_not_there_is_said_in_ollamas_words(program: Program) -> None:
    done = hoshikage(program.home, "stop", "nowhere")
    assert (done.returncode, 'couldn\'t find model "nowhere" to stop' in done.stderr) == (1, True)


def test_rm_unloads_a_model_before_its_file_goes(program: Program) -> None:
    file = make_tiny(program.home / "models/gone.gguf", seed=1)
    registry(program.home).register("gone", Stored(path=str(file), fetched=True))
    load(program, "gone")
    assert "gone:latest" in loaded(program)
    assert hoshikage(program.home, "rm", "gone").stdout == "deleted 'gone'\n"
    program.until_gone("gone:latest")
    assert not file.exists()


def test_run_names_the_file_of_a_model_that_is_gone(program: Program, tmp_path: Path) -> None:
    file = make_tiny(tmp_path / "lost.gguf", seed=2)
    hoshikage(program.home, "add", str(file), "lost")
    file.unlink()
    done = hoshikage(program.home, "run", "lost", "hi")
    assert (done.returncode, f"ファイルが見つかりません: {file}" in done.stderr) == (1, True)


def test_run_prints_ollamas_timings_and_names_the_flags_that_do_nothing(program: Program) -> None:
    flags = [
        "--format",
        '{"enum": ["hello"]}',
        "--verbose",
        "--keepalive",
        "7m",
        "--nowordwrap",
        "--think",
        "--hidethinking",
    ]
    done = hoshikage(program.home, "run", "starter", *flags, "Say", "hello.")
    titles = [line.partition(":")[0] for line in done.stderr.splitlines() if ":  " in line or line.endswith("/s")]
    assert done.returncode == 0, done.stderr
    assert titles[0] == "total duration"
    assert titles[-3:] == ["eval count", "eval duration", "eval rate"]
    assert "--nowordwrap, --think, --hidethinking" in done.stderr
    assert cells(hoshikage(program.home, "ps").stdout)[1][5].strip() == "6 minutes from now"


def test_run_asks_for_a_format(server: Program) -> None:
    done = hoshikage(server.home, "run", "--format", '{"enum": ["yes"]}', "starter", "Answer.")
    assert (done.returncode, json.loads(done.stdout)) == (0, "yes"), done.stderr


def test_a_private_engine_knows_formats_and_timings_too(tmp_path: Path, starter: Path) -> None:
    hoshikage(tmp_path, "add", str(starter), "smol")
    schema = '{"enum": ["yes"]}'
    done = hoshikage(tmp_path, "run", "smol", "--format", schema, "--verbose", "Answer.")
    assert (done.returncode, json.loads(done.stdout)) == (0, "yes"), done.stderr
    assert "eval rate: " in done.stderr


@pytest.mark.parametrize(
    ("flags", "reason"),
    [(["--keepalive", "5"], "missing unit"), (["--format", "{"], "--format"), (["--format", "7"], "format")],
)
def test_a_flag_that_cannot_be_meant_is_one_line(program: Program, flags: list[str], reason: str) -> None:
    done = hoshikage(program.home, "run", "starter", *flags, "hi")
    assert (done.returncode, reason in done.stderr, "Traceback" in done.stderr) == (1, True, False)


class Other(http.server.BaseHTTPRequestHandler):
    """A server of another version."""

    def do_GET(self) -> None:
        body = b'{"version":"9.9.9"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_the_version_of_another_server_is_told(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever).start()
        note = {"pid": os.getpid(), "home": "/", "addresses": [f"http://127.0.0.1:{other.server_port}"]}
        (tmp_path / "run/hoshikage").mkdir(parents=True)
        (tmp_path / "run/hoshikage/server.json").write_text(json.dumps(note))
        done = hoshikage(tmp_path, "--version", HOSHIKAGE_LANG="en")
        other.shutdown()
    assert (done.stdout, done.stderr) == ("hoshikage version is 2.0.0\n", "Warning: server version is 9.9.9\n")


def test_the_version_is_told_with_and_without_a_server(program: Program, tmp_path: Path) -> None:
    done = hoshikage(program.home, "-v")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hoshikage version is 2.0.0\n", "")
    alone = hoshikage(tmp_path, "-v")
    assert (alone.stdout, "接続できません" in alone.stderr) == (done.stdout, True)
