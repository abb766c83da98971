"""`hoshikage import` as a user runs it, and a model of a made Ollama store in the real server."""

import json
from pathlib import Path

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.cli.human import size
from tests.models.stores.trees import OllamaTree, state
from tests.program import Program, hoshikage, serve

SYSTEM = "You are tiny."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def tree(tmp_path: Path) -> OllamaTree:
    """A store with one model, `tiny:latest`."""
    tree = OllamaTree(tmp_path / "ollama")
    data = make_tiny(tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").unlink()
    parameters = json.dumps({"temperature": 0, "num_predict": 8})
    tree.manifest(
        "tiny/latest", tree.layer("model", data), tree.layer("system", SYSTEM), tree.layer("params", parameters)
    )
    return tree


def weights(tree: OllamaTree) -> Path:
    return max((tree.root / "blobs").iterdir(), key=lambda path: path.stat().st_size)


def imported(home: Path, tree: OllamaTree, *words: str) -> str:
    done = hoshikage(home, "import", "ollama", *words, OLLAMA_MODELS=str(tree.root))
    assert done.returncode == 0, done.stderr
    return done.stdout


def entries(home: Path) -> dict[str, dict[str, object]]:
    file = home / "models/model_map.json"
    return dict(json.loads(file.read_text())) if file.exists() else {}


def ask(program: Program) -> httpx.Response:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    return httpx.post(f"{program.url}/api/chat", json=body, timeout=60)


def test_a_model_of_ollamas_store_is_served_where_it_lies(home: Path, tree: OllamaTree) -> None:
    for path in (*tree.root.rglob("*"), tree.root):  # which root may write to all the same
        path.chmod(path.stat().st_mode & 0o555)
    before, blob = state(tree.root), weights(tree)
    imported(home, tree)
    with serve(home, RAMDISK_PATH="off") as program:
        answer = ask(program)
        assert answer.status_code == 200, answer.text
        assert answer.json()["eval_count"] > 0
        maps = Path(f"/proc/{program.worker_pid('tiny:latest')}/maps").read_text()
        shown = httpx.post(f"{program.url}/api/show", json={"model": "tiny"}).json()
    assert str(blob) in maps
    assert shown["system"] == SYSTEM
    assert state(tree.root) == before
    assert max(path.stat().st_size for path in home.rglob("*") if path.is_file()) < blob.stat().st_size


def test_a_file_that_its_owner_deletes_is_a_clear_404_and_listed_as_missing(home: Path, tree: OllamaTree) -> None:
    imported(home, tree)
    blob = weights(tree)
    with serve(home) as program:
        assert ask(program).status_code == 200
        blob.unlink()
        httpx.post(f"{program.url}/api/generate", json={"model": "tiny", "keep_alive": 0}, timeout=60)
        answer = ask(program)
        assert (answer.status_code, answer.json()) == (
            *(404, {"error": 'model "tiny" not found, try pulling it first'}),
        )
        assert httpx.get(f"{program.url}/api/version").status_code == 200
    assert "ファイルがありません" in hoshikage(home, "list").stdout


def test_what_is_found_is_shown_registered_and_said_when_it_is_there_already(home: Path, tree: OllamaTree) -> None:
    tree.manifest("gpt/cloud", remote_host="https://ollama.com")
    first = imported(home, tree)
    heading, cloud, tiny, added, summary = first.splitlines()
    assert heading.split() == ["名前", "サイズ", "量子化", "備考"]
    assert cloud.startswith("gpt:cloud") and "https://ollama.com" in cloud
    assert tiny.split() == ["tiny:latest", *size(weights(tree).stat().st_size).split(), "F32"]
    assert added == "✅ モデル 'tiny:latest' を追加しました。"
    assert summary.startswith("📦 2件を見つけ、1件を登録しました（登録済み 0件、登録できないもの 1件）。")
    assert "ℹ️ モデル 'tiny:latest' は登録済みです。" in imported(home, tree)
    assert list(entries(home)) == ["tiny:latest"]


def test_a_dry_run_changes_nothing(home: Path, tree: OllamaTree) -> None:
    assert "tiny:latest" in imported(home, tree, "--dry-run")
    assert entries(home) == {}


def test_only_the_named_ones_are_taken_and_unknown_names_are_said(home: Path, tree: OllamaTree, tmp_path: Path) -> None:
    tree.manifest("other/latest", tree.layer("model", make_tiny(tmp_path / "o.gguf", seed=1).read_bytes()))
    done = hoshikage(home, "import", "OTHER", "nowhere", OLLAMA_MODELS=str(tree.root), LANG="en_US.UTF-8")
    assert "Model 'other:latest' was added" in done.stdout
    assert "'nowhere' was not found there" in done.stderr
    assert (done.returncode, list(entries(home))) == (0, ["other:latest"])


def test_a_name_that_another_file_has_stays_with_it(home: Path, tree: OllamaTree, tmp_path: Path) -> None:
    own = make_tiny(tmp_path / "own.gguf", seed=2)
    hoshikage(home, "add", str(own), "tiny")
    done = hoshikage(home, "import", "ollama", OLLAMA_MODELS=str(tree.root))
    assert (done.returncode, str(own) in done.stderr) == (1, True)
    assert entries(home)["tiny"]["path"] == str(own)


def test_a_newer_version_replaces_the_one_whose_file_its_owner_deleted(
    home: Path, tree: OllamaTree, tmp_path: Path
) -> None:
    imported(home, tree)
    weights(tree).unlink()
    tree.manifest("tiny/latest", tree.layer("model", make_tiny(tmp_path / "new.gguf", seed=3).read_bytes()))
    assert "登録し直しました" in imported(home, tree)
    assert entries(home)["tiny:latest"]["path"] == str(weights(tree))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["ollama"], 1, "にはモデルがありません"),
        (["folders"], 1, "MODEL_PATHS"),
        (["all", "--root", "/tmp"], 2, "--root"),
        (["ollama", "日本語"], 1, "モデル名に使えません"),
        (["folders", "--root", "/nowhere"], 1, "/nowhere"),
    ],
)
def test_where_nothing_can_be_done_the_reason_is_said(home: Path, words: list[str], code: int, said: str) -> None:
    done = hoshikage(home, "import", *words, OLLAMA_MODELS=str(home / "none"))
    assert (done.returncode, said in done.stderr) == (code, True)
    assert "Traceback" not in done.stderr


def test_a_plain_folder_is_imported_by_setting_and_by_root(home: Path, tmp_path: Path) -> None:
    made = make_tiny(tmp_path / "星影.gguf")
    assert hoshikage(home, "import", "folders", MODEL_PATHS=str(tmp_path)).returncode == 0
    done = hoshikage(home, "import", "folders", "--root", str(tmp_path))
    assert "登録済みです" in done.stdout
    assert [entry["path"] for entry in entries(home).values()] == [str(made)]
