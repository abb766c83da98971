"""Calls in what models write, by the outputs in fixtures/tools; the same events come in any chunks."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from hoshikage.conversation import ToolCall
from hoshikage.templates.reasoning import BLANKS_MAX
from hoshikage.templates.tools.base import Event
from hoshikage.templates.tools.formats import FORMATS
from hoshikage.templates.tools.tagged import merged
from tests.templates.test_reasoning import chunked

FOLDER = Path(__file__).parent.parent.parent / "fixtures" / "tools"
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("get_weather", "now", "write")]
CASES = [
    pytest.param(row, case, id=f"{row.name}: {case['says']}")
    for row in FORMATS
    for case in json.loads((FOLDER / row.name / "outputs.json").read_text(encoding="utf-8"))
]


def parsed(row: Any, tag: str, chunks: list[str]) -> list[Event]:
    parser = row.parser(TOOLS, tag)
    return merged([event for chunk in chunks for event in parser.feed(chunk)] + parser.end())


def expected(events: list[Any]) -> list[Event]:
    return [each if isinstance(each, str) else ToolCall(**each) for each in events]


@pytest.mark.parametrize(("row", "case"), CASES)
def test_calls_are_found_and_nothing_else_is_lost_in_any_chunks(row: Any, case: dict[str, Any]) -> None:
    text, wanted = case["output"], expected(case["events"])
    assert parsed(row, case["tag"], [text]) == wanted
    assert parsed(row, case["tag"], list(text)) == wanted
    for seed in range(100):
        assert parsed(row, case["tag"], chunked(text, seed)) == wanted


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_what_names_no_call_comes_out_word_for_word(row: Any) -> None:
    marks = ["<tool_call>", "</tool_call>", "{", "}", "[", "]", '"', "\\", "a", " ", "<", '"name"', "\n"]
    for seed in range(300):
        text = (
            "".join(marks[ord(each) % len(marks)] for each in random.Random(seed).randbytes(40).decode("latin-1")) + "z"
        )
        assert parsed(row, "<tool_call>", chunked(text, seed)) == [text]


def test_a_call_comes_out_as_soon_as_it_is_whole() -> None:
    parser = FORMATS[0].parser(TOOLS, "")
    assert parser.feed('Yes. <tool_call>{"name": "now", "arguments": {}') == ["Yes."]
    assert parser.feed("}") == [ToolCall(name="now")]
    assert parser.feed("</tool_call>") == []


@pytest.mark.parametrize("opened", ['<tool_call>{"\\"', "<tool_call>{[", "<tool_call>x"])
@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_openings_without_calls_are_not_each_read_to_the_end(row: Any, opened: str) -> None:
    text = opened * 30_000
    assert parsed(row, "<tool_call>", [text]) == [text]


def test_blanks_that_go_on_and_on_are_not_held_back() -> None:
    parser = FORMATS[0].parser(TOOLS, "")
    (told,) = parser.feed("a" + " " * 5000)
    assert isinstance(told, str)
    assert len(told) == 5001 - BLANKS_MAX
    assert parser.end() == [" " * BLANKS_MAX]
