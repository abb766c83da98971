"""Tools and thinking by LangChain against the real server."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_ollama import ChatOllama

from compat.clients.calling import ARGUMENTS, QUESTION, TOOL
from tests.program import Program

pytestmark = pytest.mark.usefixtures("handy")

ASKED = HumanMessage(QUESTION["content"])
CALLED = AIMessage("", tool_calls=[{"name": "get_weather", "args": ARGUMENTS, "id": "call_1"}])
MESSAGES = [ASKED, CALLED] * 4 + [ASKED]


def test_a_tool_is_called_and_its_result_read(stock: Program) -> None:
    model = ChatOllama(model="handy", base_url=stock.url, reasoning=False).bind_tools([TOOL])
    first = model.invoke(MESSAGES)
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", ARGUMENTS)
    second = model.invoke([*MESSAGES, first, ToolMessage("22 degrees", tool_call_id=call["id"])])
    assert second.usage_metadata["input_tokens"] > first.usage_metadata["input_tokens"]


def test_a_call_comes_in_a_stream(stock: Program) -> None:
    model = ChatOllama(model="handy", base_url=stock.url, reasoning=False).bind_tools([TOOL])
    calls = [call for part in model.stream(MESSAGES) for call in part.tool_calls]
    assert [call["args"] for call in calls] == [ARGUMENTS]


def test_reasoning_is_told_apart_from_the_answer(stock: Program) -> None:
    answer = ChatOllama(model="handy", base_url=stock.url, reasoning=True, num_predict=24).invoke([ASKED])
    assert answer.additional_kwargs["reasoning_content"]
    assert "<think>" not in answer.text
