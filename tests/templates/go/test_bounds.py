"""Hostile templates: none may hang, grow without end or raise anything but TemplateFailed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.errors import TemplateFailed
from hoshikage.templates.go.budget import NESTING_MAX, TEMPLATE_BYTES_MAX, Budget
from hoshikage.templates.go.execution import execute
from hoshikage.templates.go.functions import NAMES
from hoshikage.templates.go.parser import parse
from hoshikage.templates.go.values import clean

PIECES = st.sampled_from(
    "{{ }} {{- -}} ( ) | . .X .Y $ $x := = , \" ` ' a 1 -2 3.5e1 0x nil true if else end range with break continue len "
    "index slice printf print and or eq lt json %d%s `%v` /* */ \n \\ 日 \ud800 template define not".split(" ")
)
DATA: dict[str, object] = {"X": [1, "a", None, {"Y": "z"}], "Y": "text"}


def outcome(source: str) -> str | None:
    """The text, or None for a template that was refused or failed."""
    try:
        return execute(parse(source, NAMES), source, DATA, Budget())
    except TemplateFailed:
        return None


@given(st.text())
def test_any_text_is_a_template_or_refused(source: str) -> None:
    made = outcome(source)
    assert made is None or "{{" in source or made == clean(source)


@given(st.lists(PIECES, max_size=40).map(" ".join) | st.lists(PIECES, max_size=40).map("".join))
def test_any_row_of_go_s_own_pieces_is_a_template_or_refused(source: str) -> None:
    made = outcome("{{ $x := .X }}" + source)
    assert made is None or made.encode().decode() == made


@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_any_action_is_run_or_refused(inside: str) -> None:
    made = outcome("{{ range .X }}{{ " + inside + " }}{{ end }}")
    assert made is None or made.encode().decode() == made


@pytest.mark.parametrize(
    "source",
    [
        "{{ range 99999999999 }}{{ end }}",
        "{{ range 2000 }}{{ range 2000 }}{{ range 2000 }}{{ break }}{{ end }}{{ end }}{{ end }}",
        "{{ $x := `ha` }}{{ range 64 }}{{ $x = print $x $x }}{{ end }}",
        "{{ $x := `ha` }}{{ range 64 }}{{ $x = printf `%s%s` $x $x }}{{ end }}",
        "{{ $x := printf `%1000000d` 1 }}{{ range 99999 }}{{ $x }}{{ end }}",
        "{{ $x := printf `%1000000d` 1 }}{{ range 99999 }}{{ if eq $x (print $x) }}{{ end }}{{ end }}",
        "{{ range 999999 }}{{ printf `%1000000d` 1 }}{{ end }}",
    ],
)
def test_a_template_that_would_not_end_fails(source: str) -> None:
    body = parse(source, NAMES)
    with pytest.raises(TemplateFailed):
        execute(body, source, DATA, Budget())


@pytest.mark.parametrize("opening", ["{{ if 1 }}", "{{ range .X }}", "{{ with 1 }}", "{{ if 1 }}a{{ else }}"])
def test_blocks_nest_up_to_the_bound(opening: str) -> None:
    for depth, refused in ((NESTING_MAX, False), (NESTING_MAX + 1, True), (50_000, True)):
        source = opening * depth + "{{ end }}" * depth
        try:
            parse(source, NAMES)
        except TemplateFailed as failed:
            assert refused, failed
        else:
            assert not refused


def test_parentheses_nest_up_to_the_bound() -> None:
    assert outcome("{{" + "(" * NESTING_MAX + "1" + ")" * NESTING_MAX + "}}") == "1"
    assert outcome("{{" + "(" * 50_000 + "1" + ")" * 50_000 + "}}") is None


def test_a_long_chain_of_else_ifs_is_no_nesting() -> None:
    chain = "{{ if eq 1 2 }}" + "".join(f"{{{{ else if eq 3000 {at} }}}}{at}" for at in range(3001)) + "{{ end }}"
    assert outcome(chain) == "3000"


def test_a_template_over_a_mebibyte_is_refused() -> None:
    assert outcome("é" * (TEMPLATE_BYTES_MAX // 2)) is not None
    with pytest.raises(TemplateFailed, match="a template of 1048578 bytes"):
        parse("é" * (TEMPLATE_BYTES_MAX // 2 + 1), NAMES)


@pytest.mark.parametrize(
    "piece", ["{{", "{{/*", "{{ `", '{{ "', "{{ .", "{{.}}", "{{ 1 }}", "{{- 1 -}} ", "{{ .X.", "("]
)
def test_a_mebibyte_of_any_piece_is_read_at_once(piece: str) -> None:
    source = piece * (TEMPLATE_BYTES_MAX // len(piece))
    made = outcome(source)
    assert made is None or len(made) <= 10 * TEMPLATE_BYTES_MAX


def test_data_nested_too_deep_fails() -> None:
    value: object = "x"
    for _ in range(100_000):
        value = [value]
    with pytest.raises(TemplateFailed, match="nested too deep"):
        execute(parse("{{ .X }}", NAMES), "{{ .X }}", {"X": value}, Budget())
