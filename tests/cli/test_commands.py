"""The commands as a user runs them, in a home of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from hoshikage.engine.build import installed_build
from tests.program import Program, environment, hoshikage, serve


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def files(home: Path) -> dict[str, bytes]:
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*.json") if p.is_file()}


def test_add_list_and_remove_speak_the_manuals_words(home: Path, starter: Path) -> None:
    assert hoshikage(home, "add", str(starter), "smol").stdout == "✅ モデル 'smol' を追加しました。\n"
    listed = hoshikage(home, "list").stdout
    assert listed == f"📦 登録済みモデル一覧（1件）:\n - smol: {starter} (93.81 MB)\n"
    assert hoshikage(home, "remove", "smol").stdout.startswith("🗑️ モデル 'smol' を削除しました。\n")
    assert hoshikage(home, "list").stdout == "📦 登録済みモデル一覧（0件）:\n"
    assert starter.exists()


def test_english_by_locale(home: Path, starter: Path) -> None:
    assert "was added" in hoshikage(home, "add", str(starter), "smol", LANG="en_US.UTF-8").stdout
    assert "Registered models (1)" in hoshikage(home, "list", HOSHIKAGE_LANG="en").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "/nowhere/x.gguf", "x"], "ファイルが見つかりません: /nowhere/x.gguf"),
        (["add", "/etc/hostname", "x"], "使える GGUF ファイルではありません"),
        (["add", "/dev/zero", "x"], "使える GGUF ファイルではありません"),
        (["add", "STARTER", "taken"], "使用中です"),
        (["add", "STARTER", "TAKEN:latest"], "使用中です"),
        (["add", "STARTER", "日本語"], "モデル名に使えません"),
        (["remove", "unknown"], "登録されていません"),
        (["run", "unknown", "hi"], "登録されていません"),
        (["pull", "un known"], "モデル名に使えません"),
        (["pull", "pypi:numpy/x.gguf"], "取得元が分かりません"),
    ],
)
def test_a_mistake_is_one_line_exit_1_and_nothing_changes(
    home: Path, starter: Path, arguments: list[str], words: str
) -> None:
    hoshikage(home, "add", str(starter), "taken")
    before = files(home)
    done = hoshikage(home, *[str(starter) if each == "STARTER" else each for each in arguments])
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert files(home) == before


def test_a_truncated_model_is_refused_by_add(home: Path, starter: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(starter.read_bytes()[:50_000_000])
    done = hoshikage(home, "add", str(broken), "broken")
    assert (done.returncode, "tensor" in done.stderr) == (1, True)


def test_a_bad_setting_exits_2_and_names_it(home: Path) -> None:
    done = hoshikage(home, "list", N_BATCH="lots")
    assert done.returncode == 2
    assert "N_BATCH='lots'" in done.stderr
    assert "from 1 to" in done.stderr


def test_run_without_a_server_answers_by_itself(home: Path, starter: Path) -> None:
    hoshikage(home, "add", str(starter), "smol")
    done = hoshikage(home, "run", "smol", "Say hello.", N_CTX="64")  # so that one that rambles comes to an end
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_run_talks_to_the_running_server(server: Program) -> None:
    done = hoshikage(server.home, "run", "--format", '{"enum": ["hello"]}', "starter", "Say hello.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '"hello"'
    assert "サーバーが動いていない" not in done.stderr


def test_the_commands_find_the_home_of_the_running_server(server: Program) -> None:
    env = environment(server.home)
    del env["HOSHIKAGE_HOME"]
    done = subprocess.run(
        [sys.executable, "-m", "hoshikage", "list"], env=env, capture_output=True, text=True, check=False
    )
    assert " - starter: " in done.stdout


def test_a_change_by_the_command_line_is_seen_by_the_running_server(home: Path, starter: Path) -> None:
    with serve(home, starter) as program:
        hoshikage(home, "add", str(starter), "second")
        names = {m["name"] for m in httpx.get(f"{program.url}/api/tags").json()["models"]}
        assert names == {"second:latest", "starter:latest"}
        hoshikage(home, "remove", "starter")
        assert [m["id"] for m in httpx.get(f"{program.url}/v1/models").json()["data"]] == ["second"]


def test_a_busy_port_is_named_and_the_other_serves(home: Path, server: Program) -> None:
    busy = server.url.rpartition(":")[2]
    with serve(home, None, LEGACY_PORT=busy) as program:
        assert httpx.get(f"{program.url}/").text == "Ollama is running"
    assert f"127.0.0.1:{busy}" in (home / "serve.log").read_text(encoding="utf-8")


def test_without_any_free_port_serve_exits_1(home: Path, server: Program) -> None:
    done = hoshikage(home, "serve", "--port", server.url.rpartition(":")[2])
    assert done.returncode == 1
    assert "--port" in done.stderr


def test_two_addresses_have_one_app_behind_them(home: Path, starter: Path) -> None:
    with serve(home, starter, LEGACY_PORT="0") as program:
        addresses = json.loads((home / "run/hoshikage/server.json").read_text())["addresses"]
        assert addresses[0] == program.url
        replies = [httpx.get(f"{address}/api/tags").json()["models"] for address in addresses]
        assert len(set(addresses)) == 2
        assert replies[0] == replies[1] != []


def test_no_worker_outlives_a_server_that_is_killed(home: Path, starter: Path) -> None:
    with serve(home, starter) as program:
        httpx.post(f"{program.url}/api/generate", json={"model": "starter"}, timeout=60)
        worker = program.worker_pid()
        assert worker
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()
        for _ in range(500):
            if not alive(worker):
                return
            os.sched_yield()
            subprocess.run(["true"], check=True)
        raise AssertionError("the worker is still there")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_variables_without_effect_are_said_once(home: Path) -> None:
    with serve(home, None, SENTENCE_BERT_MODEL="x", OLLAMA_NOHISTORY="1") as program:
        assert program.process.stdout
        said = [program.process.stdout.readline() for _ in range(2)]
    assert said[1].endswith("効果のない変数: SENTENCE_BERT_MODEL, OLLAMA_NOHISTORY\n")


def test_a_gpu_that_the_build_cannot_use_is_said_by_doctor_and_at_the_start(home: Path, tmp_path: Path) -> None:
    """The real probe, with a stand-in for nvidia-smi."""
    if (build := installed_build()) is None or build.backend != "cpu":
        pytest.skip("llama.cpp was not built by make for the CPU")
    smi = tmp_path / "bin/nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 80GB (UUID: GPU-1)'\n")
    smi.chmod(0o755)
    path = f"{smi.parent}:{os.environ['PATH']}"
    assert "NVIDIA H100 80GB" in hoshikage(home, "doctor", PATH=path).stdout
    with serve(home, None, PATH=path) as program:
        assert httpx.get(f"{program.url}/").status_code == 200
    assert "NVIDIA H100 80GB" in (home / "serve.log").read_text(encoding="utf-8")


def test_eight_adds_at_once_are_all_kept(home: Path, starter: Path) -> None:
    command = [sys.executable, "-m", "hoshikage", "add", str(starter)]
    adds = [subprocess.Popen([*command, f"m{i}"], env=environment(home), stdout=subprocess.DEVNULL) for i in range(8)]
    assert [each.wait(60) for each in adds] == [0] * 8
    assert "（8件）" in hoshikage(home, "list").stdout


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path, starter: Path) -> None:
    (tmp_path / "file").write_text("")
    done = hoshikage(tmp_path / "file", "add", str(starter), "x")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_run_pulls_what_is_not_there(tmp_path: Path, starter: Path) -> None:
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    shutil.copy(starter, home / "models")  # so that the pull finds the file there
    done = hoshikage(home, "run", "starter", "Say hi.", N_CTX="64")
    assert (done.returncode, "登録されていません" in done.stderr, bool(done.stdout.strip())) == (0, True, True)
    assert "starter" in hoshikage(home, "list").stdout
