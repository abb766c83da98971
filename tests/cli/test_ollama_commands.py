"""Ollama's commands on the files: list, show, cp, rm, help and names, as a user runs them."""

import json
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.models.entry import Stored
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files
from tests.program import hoshikage


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the models Beta and alpha:v1, of one file each."""
    home = tmp_path / "home"
    for name in ("Beta", "alpha:v1"):
        assert hoshikage(home, "add", str(make_tiny(tmp_path / f"{name}.gguf")), name).returncode == 0
    return home


def registry(home: Path) -> Registry:
    models = home / "models"
    return Registry(Files(models / "model_map.json", models / "tags_cache.json", models / "tags_ollama.json", home))


def cells(output: str) -> list[list[str]]:
    return [[cell for cell in line.split("  ") if cell.strip()] for line in output.splitlines()]


def test_the_table_of_list_has_ollamas_columns_and_the_digest_of_tags(home: Path) -> None:
    heading, *rows = cells(hoshikage(home, "list", "--ollama").stdout)
    tags = json.loads((home / "models/tags_ollama.json").read_text())["models"]
    assert [cell.strip() for cell in heading] == ["NAME", "ID", "SIZE", "MODIFIED"]
    assert [row[0].strip() for row in rows] == [each["name"] for each in tags]
    assert [row[1].strip() for row in rows] == [each["digest"][:12] for each in tags]
    assert {row[0].strip() for row in rows} == {"Beta:latest", "alpha:v1"}


@pytest.mark.parametrize("flags", [[], ["--ollama"]])
def test_a_prefix_in_any_case_chooses_what_is_listed(home: Path, flags: list[str]) -> None:
    said = hoshikage(home, "ls", "bE", *flags).stdout
    assert "Beta" in said
    assert "alpha" not in said
    assert "Beta" not in hoshikage(home, "list", "x", *flags).stdout


def test_a_copy_is_said_in_ollamas_words_and_listed(home: Path) -> None:
    assert hoshikage(home, "cp", "beta", "me/copy").stdout == "copied 'beta' to 'me/copy'\n"
    assert registry(home).find("me/copy").digest == registry(home).find("Beta").digest
    assert hoshikage(home, "cp", "nowhere", "x").returncode == 1


def test_rm_deletes_what_was_fetched_and_leaves_what_is_foreign(home: Path) -> None:
    fetched = make_tiny(home / "models/fetched.gguf")
    registry(home).register("fetched", Stored(path=str(fetched), fetched=True))
    done = hoshikage(home, "rm", "fetched", "nowhere", "beta")
    assert (done.returncode, fetched.exists()) == (1, False)
    assert done.stdout.splitlines()[:2] == ["deleted 'fetched'", "deleted 'beta'"]
    assert str(home.parent / "Beta.gguf") in done.stdout
    assert "nowhere" in done.stderr
    assert [each.name for each in registry(home).entries()] == ["alpha:v1"]


def test_remove_leaves_what_was_fetched(home: Path) -> None:
    fetched = make_tiny(home / "models/fetched.gguf")
    registry(home).register("fetched", Stored(path=str(fetched), fetched=True))
    assert hoshikage(home, "remove", "fetched").returncode == 0
    assert fetched.exists()


@pytest.mark.parametrize("command", [["ps"], ["stop", "beta"]])
def test_what_needs_a_server_says_how_to_start_one(home: Path, command: list[str]) -> None:
    done = hoshikage(home, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "hoshikage serve" in done.stderr


@pytest.mark.parametrize("command", [["cp", "beta"], ["rm"], ["pull"], ["show"]])
def test_a_japanese_name_is_refused_with_one_that_can_be_used(home: Path, command: list[str]) -> None:
    done = hoshikage(home, *command, "私の／Ｇｅｍｍａ３：4b")
    assert done.returncode == 1
    assert "モデル名に使えません" in done.stderr
    assert "使える名前の例: Gemma3:4b" in done.stderr


def test_help_lists_the_commands_and_explains_one(home: Path) -> None:
    every, one = hoshikage(home, "help"), hoshikage(home, "help", "show")
    assert (every.returncode, one.returncode) == (0, 0)
    assert all(name in every.stdout for name in ("serve (start)", "list (ls)", "pull", "rm", "stop"))
    assert "--modelfile" in one.stdout
    assert hoshikage(home, "start", "--help").stdout.startswith("usage: hoshikage serve")


def test_show_prints_ollamas_sections_and_only_what_it_was_asked_for(home: Path) -> None:
    file = str(registry(home).find("Beta").file)
    model = Stored(path=file, system="one\n\ntwo\nthree", parameters={"top_k": 5}, stop=("a b",), license=("MIT",))
    registry(home).register("full", model)
    said = hoshikage(home, "show", "full").stdout
    assert [line.strip() for line in said.splitlines() if line.startswith("  ") and line[2] != " "] == [
        *("Model", "Capabilities", "Parameters", "System", "License")
    ]
    assert "    architecture        llama" in said
    assert "    one\n    two\n    ...\n" in said.replace(" \n", "\n").replace(" \n", "\n")
    assert hoshikage(home, "show", "full", "--system").stdout == "one\n\ntwo\nthree\n"
    assert f"\nFROM {file}\n" in hoshikage(home, "show", "--modelfile", "full").stdout
    assert hoshikage(home, "show", "full", "--parameters").stdout.split() == ["stop", '"a', 'b"', "top_k", "5"]
    assert hoshikage(home, "show", "full", "--system", "--license").returncode == 1


def test_verbose_show_has_metadata_and_tensors(home: Path) -> None:
    said = hoshikage(home, "show", "-v", "beta").stdout
    assert "  Metadata\n" in said
    assert "  Tensors\n" in said
    assert "[32 259]" in said
    assert "  Metadata\n" not in hoshikage(home, "show", "beta").stdout


def test_a_header_cannot_move_the_cursor_of_a_terminal(home: Path, tmp_path: Path) -> None:
    hoshikage(home, "add", str(make_tiny(tmp_path / "evil.gguf", name="x\x1b[2J", chat_template="\x1b")), "evil")
    said = hoshikage(home, "show", "-v", "evil").stdout
    assert not [letter for letter in said if not letter.isprintable() and letter != "\n"]


def test_list_loads_no_other_command_and_no_engine(home: Path) -> None:
    done = hoshikage(home, "list", PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    others = {"hoshikage.cli.timings", "hoshikage.cli.sections", "hoshikage.engine.build", "hoshikage.models.pool"}
    assert "hoshikage.models.registry" in loaded
    assert not loaded & {*others, "asyncio", "starlette", "rich", "huggingface_hub", "numpy"}
