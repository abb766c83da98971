"""A kill at any point of a change leaves three files that parse and agree."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files

POINTS_MAX = 200


def files_in(home: Path) -> Files:
    models = home / "models"
    return Files(models / "model_map.json", models / "tags_cache.json", models / "tags_ollama.json", home)


def agreed_names(home: Path) -> set[str]:
    """What all three files say, after a fresh process has looked at them."""
    files = files_in(home)
    for path in (files.model_map, files.tag_cache, files.tag_ollama):
        json.loads(path.read_bytes())
    names = {entry.name for entry in Registry(files).entries()}
    assert set(json.loads(files.model_map.read_bytes())) == names
    assert {card["id"] for card in json.loads(files.tag_cache.read_bytes())["data"]} == names
    tags = {tag["name"].removesuffix(":latest") for tag in json.loads(files.tag_ollama.read_bytes())["models"]}
    assert tags == names
    return names


@pytest.mark.parametrize(("act", "after"), [("add", {"old", "new"}), ("copy", {"old", "new"}), ("remove", set())])
def test_a_kill_after_any_write_or_rename_leaves_agreement(tmp_path: Path, act: str, after: set[str]) -> None:
    tiny = make_tiny(tmp_path / "tiny.gguf")
    Registry(files_in(tmp_path / "start")).add(tiny, "old")
    seen = []
    for point in range(1, POINTS_MAX):
        home = tmp_path / f"home{point}"
        shutil.copytree(tmp_path / "start", home)
        command = [sys.executable, "-m", "tests.models.killer", str(point), act, str(home), str(tiny)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        names = agreed_names(home)
        assert names in ({"old"}, after)
        seen.append(names)
        if done.returncode == 0:
            break
    assert done.stdout == "finished\n"
    assert len(seen) > 10
    assert {"old"} in seen
    assert seen[-1] == after


def test_a_kill_while_a_corrupt_map_is_replaced_loses_no_model(tmp_path: Path) -> None:
    tiny, start = make_tiny(tmp_path / "tiny.gguf"), tmp_path / "start"
    Registry(files_in(start)).add(tiny, "old")
    files_in(start).model_map.write_text("{")
    for point in range(1, POINTS_MAX):
        home = tmp_path / f"home{point}"
        shutil.copytree(start, home)
        command = [sys.executable, "-m", "tests.models.killer", str(point), "add", str(home), str(tiny)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        names = {entry.name for entry in Registry(files_in(home)).entries()}
        assert names in ({"old"}, {"old", "new"})
        if done.returncode == 0:
            break
    assert names == {"old", "new"}
    assert point > 10
