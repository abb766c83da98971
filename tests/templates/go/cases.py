"""The fixtures of Go templates as pytest's parameters."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent.parent.parent / "fixtures" / "templates" / "go"


def loaded(path: Path) -> Any:
    """A fixture's JSON; its numbers are floats, as Go decodes them."""
    return json.loads(path.read_text(encoding="utf-8"), parse_int=float)


def template(path: Path) -> str:
    """The template beside a fixture, its line ends as they are."""
    return path.with_suffix(".tmpl").read_bytes().decode()


def files(folder: str) -> list[Path]:
    """The JSON files of a folder of fixtures."""
    return sorted((FOLDER / folder).glob("*.json"))
