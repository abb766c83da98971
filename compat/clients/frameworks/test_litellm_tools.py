"""Tools and thinking by LiteLLM against the real server."""

import json

import litellm
import pytest

from compat.clients.calling import ARGUMENTS, QUESTION, TOOL, often
from tests.program import Program

pytestmark = pytest.mark.usefixtures("handy")

FUNCTION = {"name": "get_weather", "arguments": json.dumps(ARGUMENTS)}
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "call_1", "type": "function", "function": FUNCTION}],
}


def asked(server: Program, **more: object) -> dict[str, object]:
    return {"model": "ollama_chat/handy", "api_base": server.url, "timeout": 100, **more}


def test_a_tool_is_called(stock: Program) -> None:
    answer = litellm.completion(**asked(stock, messages=often(CALLED), tools=[TOOL], think=False))
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == ARGUMENTS
    assert answer.choices[0].finish_reason == "tool_calls"


def test_a_call_comes_in_a_stream(stock: Program) -> None:
    parts = litellm.completion(**asked(stock, messages=often(CALLED), tools=[TOOL], think=False, stream=True))
    calls = [call for part in parts for call in part.choices[0].delta.tool_calls or ()]
    assert json.loads("".join(call.function.arguments for call in calls)) == ARGUMENTS


def test_reasoning_is_told_apart_from_the_answer(stock: Program) -> None:
    answer = litellm.completion(**asked(stock, messages=[QUESTION], max_tokens=24, reasoning_effort="low"))
    assert answer.choices[0].message.reasoning_content
    assert "<think>" not in (answer.choices[0].message.content or "")
