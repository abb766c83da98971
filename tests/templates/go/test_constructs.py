"""Every construct, against what Go itself made of it."""

from pathlib import Path

import pytest

from hoshikage.errors import TemplateFailed
from hoshikage.templates.go.budget import Budget
from hoshikage.templates.go.execution import execute
from hoshikage.templates.go.functions import NAMES
from hoshikage.templates.go.parser import parse
from tests.templates.go.cases import FOLDER, files, loaded, template

REFUSED = loaded(FOLDER / "refused.json")
FAILING = loaded(FOLDER / "failing.json")


def run(source: str, data: object) -> str:
    return execute(parse(source, NAMES), source, data, Budget())


@pytest.mark.parametrize("path", files("constructs"), ids=lambda path: path.stem)
def test_a_construct_makes_the_text_that_go_makes(path: Path) -> None:
    case = loaded(path)
    assert run(template(path), case["data"]) == case["expected"]


@pytest.mark.parametrize("name", REFUSED["cases"])
def test_what_go_cannot_parse_is_refused_in_its_words(name: str) -> None:
    case = REFUSED["cases"][name]
    with pytest.raises(TemplateFailed) as failed:
        parse(case["template"], NAMES)
    assert failed.value.data["reason"] == case["error"]


@pytest.mark.parametrize("name", FAILING["cases"])
def test_what_go_cannot_run_fails_in_its_words_and_at_its_place(name: str) -> None:
    case = FAILING["cases"][name]
    body = parse(case["template"], NAMES)
    with pytest.raises(TemplateFailed) as failed:
        execute(body, case["template"], FAILING["data"], Budget())
    assert failed.value.data["reason"] == case["error"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('a\n{{ define "x" }}b{{ end }}', "template: :2: {{define}} is not supported"),
        ('{{ template "x" . }}', "template: :1: {{template}} is not supported"),
        ('{{ block "x" . }}b{{ end }}', "template: :1: {{block}} is not supported"),
        ("{{ call .X }}", 'template: :1: function "call" not defined'),
        ("{{ html .X }}", 'template: :1: function "html" not defined'),
        ("\n\n{{ 1i }}", "template: :3: complex number 1i is not supported"),
    ],
)
def test_a_construct_that_is_not_supported_is_named_with_its_line(source: str, reason: str) -> None:
    with pytest.raises(TemplateFailed) as failed:
        parse(source, NAMES)
    assert failed.value.data["reason"] == reason
