"""Tools and thinking by Ollama's own Python client against the real server."""

from collections.abc import Iterator

import ollama
import pytest

from compat.clients.calling import ARGUMENTS, CALLED, RESULT, THOUGHT, TOOL, often
from tests.program import Program

pytestmark = pytest.mark.usefixtures("handy")


@pytest.fixture
def client(stock: Program) -> Iterator[ollama.Client]:
    with ollama.Client(stock.url) as client:
        yield client


def test_a_tool_is_called_and_its_result_read(client: ollama.Client) -> None:
    messages = often(CALLED)
    first = client.chat("handy", messages, tools=[TOOL], think=False)
    (call,) = first.message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("get_weather", ARGUMENTS)
    second = client.chat("handy", [*messages, first.message, RESULT], tools=[TOOL], think=False)
    assert second.prompt_eval_count
    assert first.prompt_eval_count
    assert second.prompt_eval_count > first.prompt_eval_count


def test_a_call_comes_whole_in_a_stream(client: ollama.Client) -> None:
    parts = list(client.chat("handy", often(CALLED), tools=[TOOL], think=False, stream=True))
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    assert [call.function.arguments for call in calls] == [ARGUMENTS]
    assert "<tool_call>" not in "".join(part.message.content or "" for part in parts)


async def test_a_function_is_a_tool(stock: Program) -> None:
    def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: its name
        """
        return f"22 degrees in {city}"

    async with ollama.AsyncClient(stock.url) as client:
        answer = await client.chat("handy", often(CALLED), tools=[get_weather], think=False)
    assert [get_weather(**call.function.arguments) for call in answer.message.tool_calls or ()] == [
        "22 degrees in Paris"
    ]


def test_thinking_is_told_apart_from_the_answer(client: ollama.Client) -> None:
    answer = client.chat("handy", often(THOUGHT), think=True)
    assert answer.message.thinking
    assert answer.message.content
    assert "think>" not in answer.message.thinking + answer.message.content
