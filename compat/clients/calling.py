"""What makes the small `handy` model call a tool or think: a chat in which it has done so several times."""

from typing import Any

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ARGUMENTS = {"city": "Paris"}
QUESTION = {"role": "user", "content": "What is the weather in Paris?"}
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"function": {"name": "get_weather", "arguments": ARGUMENTS}}],
}
THOUGHT = {"role": "assistant", "thinking": "It is easy.", "content": "It is sunny."}
RESULT = {"role": "tool", "content": "22 degrees", "tool_name": "get_weather"}


def often(said: dict[str, Any], question: dict[str, Any] = QUESTION) -> list[dict[str, Any]]:
    """The same exchange four times, then the question once more."""
    return [question, said] * 4 + [question]
