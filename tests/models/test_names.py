"""The grammar of names."""

import pytest

from hoshikage.errors import BadName
from hoshikage.models.names import fold, parse


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("gemma3", "gemma3:latest"),
        ("gemma3:4b", "gemma3:4b"),
        ("me/x:v1", "me/x:v1"),
        ("hf.co/u/r:Q4_K_M", "hf.co/u/r:Q4_K_M"),
        ("registry.ollama.ai/library/llama3:latest", "llama3:latest"),
        ("localhost:5000/ns/m:tag", "localhost:5000/ns/m:tag"),
        (" spaced ", "spaced:latest"),
    ],
)
def test_the_short_name_always_has_its_tag(text: str, short: str) -> None:
    assert parse(text).short == short


@pytest.mark.parametrize(
    "text",
    ["", "a b", "m:", "/m", "a//b", "-m", ".m", "m@sha256:1", "a/b/c/d", "n.s/m", "日本語", "m:タグ", "x" * 81, "a\0b"],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse(text)


def test_case_and_the_default_tag_do_not_count() -> None:
    assert fold("LLAMA3:Latest") == fold("llama3") != fold("llama3:8b")
