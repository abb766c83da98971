"""The grammar of names."""

import pytest

from hoshikage.errors import BadName, BadSource, CloudDisabled
from hoshikage.models.names import fold, hint, local, parse, respelled


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


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("日本語", None),
        ("日本語モデル-7b", "7b"),
        ("Ｇｅｍｍａ３：４ｂ", "Gemma3:4b"),
        ("me/私の model v1:最新", "me/model-v1"),
        ("n.s/m", "n-s/m"),
        ("日本/:7b", None),
        ("hf.co/u/日本語 model.gguf:Q4", "hf.co/u/model.gguf:Q4"),
        ("gemma3:4b", None),
        ("a/b/c/d", None),
        ("x" * 81, None),
    ],
)
def test_a_refused_name_is_answered_by_one_that_can_be_used(text: str, better: str | None) -> None:
    assert hint(text) == better


@pytest.mark.parametrize(
    ("text", "bare"), [("x:local", "x"), ("x:8b:LOCAL", "x:8b"), ("x", "x"), ("local", "local"), ("a/b:v1", "a/b:v1")]
)
def test_local_may_follow_a_name(text: str, bare: str) -> None:
    assert local(text) == bare


@pytest.mark.parametrize("text", ["x:cloud", "x:8b-Cloud", "x:8b:cloud"])
def test_a_cloud_model_does_not_run_here(text: str) -> None:
    with pytest.raises(CloudDisabled):
        local(text)


def test_both_are_too_much() -> None:
    with pytest.raises(BadSource, match='use either :local or :cloud, not both: "x:local:cloud"'):
        local("x:local:cloud")


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("FOO:7B", "Foo:7B"),
        ("foo", "Foo"),
        ("me/FOO:q8", "Me/Foo:Q8"),
        ("library/bar", "library/bar"),
        ("latest:LATEST", "latest:latest"),
        ("http://H/ME/x", "H/Me/x"),
    ],
)
def test_a_new_name_takes_the_spelling_that_its_parts_have_elsewhere(text: str, spelled: str) -> None:
    assert respelled(text, map(parse, ("Foo", "Me/bar:Q8"))) == spelled
