"""Tools and thinking by LlamaIndex against the real server."""

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.ollama import Ollama

from compat.clients.calling import ARGUMENTS, CALLED, QUESTION
from tests.program import Program

pytestmark = pytest.mark.usefixtures("handy")

ASKED = ChatMessage(role="user", content=QUESTION["content"])
CALLS = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": CALLED["tool_calls"]})


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"22 degrees in {city}"


def test_a_function_is_called(stock: Program) -> None:
    model = Ollama(model="handy", base_url=stock.url, request_timeout=100, thinking=False, temperature=0)
    tool = FunctionTool.from_defaults(get_weather)
    answer = model.chat_with_tools([tool], user_msg=ASKED, chat_history=[ASKED, CALLS] * 4)
    (call,) = model.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", ARGUMENTS)
    assert str(tool(**call.tool_kwargs)) == "22 degrees in Paris"


def test_thinking_is_a_block_of_its_own(stock: Program) -> None:
    model = Ollama(model="handy", base_url=stock.url, request_timeout=100, thinking=True, temperature=0)
    blocks = model.chat([ASKED]).message.blocks
    assert blocks[0].block_type == "thinking"
    assert blocks[0].content
