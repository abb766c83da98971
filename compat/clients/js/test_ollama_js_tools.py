"""Tools and thinking by Ollama's own JavaScript client against the real server."""

import pytest

from compat.clients.js.conftest import Ask

pytestmark = pytest.mark.usefixtures("handy")


def test_a_tool_is_called_in_a_stream_and_its_result_read(ask: Ask) -> None:
    found = ask("tools")
    assert found["calls"] == [{"name": "get_weather", "arguments": {"city": "Paris"}, "index": 0}]
    assert found["answer"]["message"]["content"]
    assert found["answer"]["prompt_eval_count"] > found["asked"]


def test_thinking_is_told_apart_from_the_answer(ask: Ask) -> None:
    answer = ask("thinking")
    assert answer["message"]["thinking"]
    assert "<think>" not in answer["message"]["content"]
