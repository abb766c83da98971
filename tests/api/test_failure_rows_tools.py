"""The rows about tools of what breaks when another server pretends to be Ollama.

The real engine calls two tools, since `format` lets it write nothing else; the real parser reads them.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.program import Program, serve

TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    },
}
ARGUMENTS = {
    "type": "object",
    "properties": {"a": {"enum": [1, 2]}},
    "required": ["a"],
    "additionalProperties": False,
}
CALL = {
    "type": "object",
    "properties": {"name": {"const": "add"}, "arguments": ARGUMENTS},
    "required": ["name", "arguments"],
    "additionalProperties": False,
}
TWO_CALLS = {"type": "array", "items": CALL, "minItems": 2, "maxItems": 2}
ASK: dict[str, Any] = {
    "model": "starter",
    "messages": [{"role": "user", "content": "Add."}],
    "tools": [TOOL],
    "format": TWO_CALLS,
    "options": {"num_predict": 120, "temperature": 0},
}


@pytest.fixture(scope="module")
def program(starter: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Tools are told of in words, since the starter's template knows none."""
    with serve(tmp_path_factory.mktemp("tools"), starter, TOOLS_GENERIC="1") as running:
        yield running


@pytest.fixture(scope="module")
def replies(program: Program) -> list[list[dict[str, Any]]]:
    """The lines of the streamed answer, and the one object."""
    with program.client() as client:
        streamed = client.post("/api/chat", json=ASK).text.splitlines()
        whole = client.post("/api/chat", json={**ASK, "stream": False}).json()
    return [[json.loads(line) for line in streamed], [whole]]


def calls(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [call for line in lines for call in line["message"].get("tool_calls", ())]


def test_row_06_every_call_has_its_index(replies: list[list[dict[str, Any]]]) -> None:
    for lines in replies:
        assert [call["function"]["index"] for call in calls(lines)] == [0, 1]


def test_row_07_arguments_are_an_object(replies: list[list[dict[str, Any]]]) -> None:
    for lines in replies:
        assert all(call["function"]["name"] == "add" for call in calls(lines))
        assert all(call["function"]["arguments"]["a"] in {1, 2} for call in calls(lines))


def test_row_23_a_call_is_no_text_and_the_answer_ends_as_ollamas(replies: list[list[dict[str, Any]]]) -> None:
    for lines in replies:
        assert [line["done"] for line in lines] == [*[False] * (len(lines) - 1), True]
        assert all(line["message"]["content"] == "" for line in lines)
        assert lines[-1]["done_reason"] == "stop"
        ids = [call["id"] for call in calls(lines)]
        assert len(set(ids)) == 2


def test_row_23_a_call_and_its_result_go_back_to_the_model(
    program: Program, replies: list[list[dict[str, Any]]]
) -> None:
    called = replies[1][0]["message"]
    result = {"role": "tool", "content": "3", "tool_name": "add", "tool_call_id": called["tool_calls"][0]["id"]}
    body = {**ASK, "format": "", "messages": [*ASK["messages"], called, result], "_debug_render_only": True}
    with program.client() as client:
        rendered = client.post("/api/chat", json=body).json()["_debug_info"]["rendered_template"]
    assert '{"name": "add", "arguments": {"a": ' in rendered
    assert "The result of add:\n3" in rendered


def test_row_10_copilot_sees_that_a_template_takes_tools(program: Program) -> None:
    template = "{{ range .Messages }}{{ .Content }}{{ end }}{{ range .Tools }}{{ . }}{{ end }}"
    with program.client() as client:
        client.post("/api/create", json={"model": "able", "from": "starter", "template": template})
        found = [client.post("/api/show", json={"model": name}).json()["capabilities"] for name in ("able", "starter")]
        listed = {each["name"]: each["capabilities"] for each in client.get("/api/tags").json()["models"]}
    assert found == [["completion", "tools"], ["completion"]]
    assert listed == {"able:latest": found[0], "starter:latest": found[1]}
