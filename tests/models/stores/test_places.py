"""Where the stores are looked for."""

from pathlib import Path

import pytest

from hoshikage.models.stores.places import ALL, stores
from hoshikage.settings import Settings


def roots(home: Path, kind: str = ALL, root: Path | None = None, **environ: str) -> dict[str, list[Path]]:
    given = {"HOME": str(home), "HOSHIKAGE_HOME": str(home / "own"), **environ}
    settings = Settings.load(environ=given, cwd=home)
    found: dict[str, list[Path]] = {}
    for store in stores(kind, settings, given, root):
        found.setdefault(store.name, []).append(store.root)
    return found


def test_without_settings_the_usual_places_count(tmp_path: Path) -> None:
    (tmp_path / ".ollama/models").mkdir(parents=True)
    (tmp_path / ".cache/lm-studio/models").mkdir(parents=True)
    assert roots(tmp_path) == {
        "ollama": [tmp_path / ".ollama/models"],
        "lmstudio": [tmp_path / ".cache/lm-studio/models"],
        "huggingface": [tmp_path / ".cache/huggingface/hub"],
    }
    (tmp_path / ".lmstudio/models").mkdir(parents=True)
    assert roots(tmp_path, "lmstudio") == {"lmstudio": [tmp_path / ".lmstudio/models"]}


def test_settings_and_the_tools_own_variables_win(tmp_path: Path) -> None:
    found = roots(tmp_path, OLLAMA_MODELS="/o", HF_HOME="/h", MODEL_PATHS="/a,/b")
    assert (found["ollama"], found["huggingface"]) == ([Path("/o")], [Path("/h/hub")])
    assert found["folders"] == [Path("/a"), Path("/b")]
    assert roots(tmp_path, "huggingface", HF_HOME="/h", HF_HUB_CACHE="/c") == {"huggingface": [Path("/c")]}
    assert roots(tmp_path, "ollama", Path("/x"), OLLAMA_MODELS="/o") == {"ollama": [Path("/x")]}


@pytest.mark.parametrize(("text", "moved"), [("{}/moved\n", True), ("relative", False), ("", False), ("\0", False)])
def test_lm_studios_pointer_leads_to_its_home(tmp_path: Path, text: str, moved: bool) -> None:
    (tmp_path / "moved/models").mkdir(parents=True)
    (tmp_path / ".lmstudio-home-pointer").write_text(text.format(tmp_path))
    wanted = tmp_path / ("moved/models" if moved else ".lmstudio/models")
    assert roots(tmp_path, "lmstudio") == {"lmstudio": [wanted]}
