"""A header is read once a version of its file."""

from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.errors import FileMissing, NotGguf
from hoshikage.models.headers import header_of


def test_a_header_is_read_once_until_the_file_is_another(tmp_path: Path) -> None:
    path = make_tiny(tmp_path / "tiny.gguf", name="first")
    first = header_of(path)
    assert header_of(path) is first
    make_tiny(tmp_path / "new.gguf", name="second").replace(path)
    assert header_of(path).text("general.name") == "second"


def test_what_cannot_be_read_is_refused_each_time_and_read_once_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    with pytest.raises(FileMissing):
        header_of(path)
    path.write_text("Dear")
    with pytest.raises(NotGguf):
        header_of(path)
    make_tiny(path)
    assert header_of(path).text("general.name") == "tiny"
