"""Every command of README.md and README.ja.md is run, against the server that `make serve` starts."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import environment, first_url

ROOT = Path(__file__).parent.parent
VENV = Path(sys.prefix)
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"http://127\.0\.0\.1:(11434|8000)")
RUN_ELSEWHERE = {"make serve", "make test"}
"""`make serve` starts the server of these tests, `make test` runs them."""


def blocks(name: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], Path]]:
    """The address, the environment and the working folder of a server started by `make serve`."""
    if not (VENV / ".dev").exists():
        pytest.skip("this environment was not made by make")
    folder = tmp_path_factory.mktemp("readme")
    make_tiny(folder / "my-model.gguf")
    (folder / ".venv").symlink_to(VENV)
    env = environment(folder / "home", N_CTX="128")  # so that a small model that rambles comes to an end
    command = ["make", "--no-print-directory", "-C", str(ROOT), "serve", f"VENV={VENV}", "PORT=0"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        url = first_url(process.stdout)
        yield url, {**env, "OLLAMA_HOST": url, "PATH": f"{VENV}/bin:{os.environ['PATH']}"}, folder
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)


@pytest.mark.parametrize("name", ["README.md", "README.ja.md"])
def test_every_command_works(made: tuple[str, dict[str, str], Path], name: str) -> None:
    url, env, folder = made
    for language, text in blocks(name):
        if text.strip() in RUN_ELSEWHERE:
            continue
        code = ADDRESS.sub(url, text)
        command = ["bash", "-euc", code] if language == "bash" else [sys.executable, "-c", code]
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert '"error"' not in done.stdout, f"{text}\n{done.stdout}"
        assert done.stdout.strip(), text


@pytest.mark.parametrize(("name", "least"), [("README.md", 10), ("README.ja.md", 12)])
def test_the_manuals_have_their_commands(name: str, least: int) -> None:
    found = blocks(name)
    assert len(found) >= least
    assert {text.strip() for _, text in found} >= RUN_ELSEWHERE


def test_every_file_that_the_manuals_link_to_is_there() -> None:
    for name in ("README.md", "README.ja.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), target
