"""Tools, calls and think values of requests, without a server: what is kept, and Go's texts for what is wrong."""

import json
from typing import Any

import pytest

from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama.decode import decode
from hoshikage.api.ollama.wire import ChatRequest, check, to_chat
from hoshikage.conversation import ChatRequest as Chat
from hoshikage.conversation import ToolCall

PROPERTY = {"default": 1, "type": "string", "title": "T", "enum": ["b", "a"], "description": "D", "format": "date"}


def chat(**body: object) -> Chat:
    asked = decode(json.dumps({"model": "m", **body}).encode(), ChatRequest)
    check(asked)
    return to_chat(asked, "local")


def tool(**properties: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": properties}}}


def kept(given: dict[str, Any]) -> Any:
    return chat(tools=[given]).tools[0]["function"]


def test_properties_keep_their_order_and_only_the_keys_of_ollama() -> None:
    found = kept(tool(z=PROPERTY, a={"properties": {"y": PROPERTY}, "anyOf": [{"type": "null", "title": "N"}]}))
    z = {"type": "string", "enum": ["b", "a"], "description": "D"}
    assert list(found["parameters"]["properties"]) == ["z", "a"]
    assert found["parameters"]["properties"] == {
        "z": z,
        "a": {"properties": {"y": z}, "anyOf": [{"type": "null"}]},
    }


def test_a_tool_has_its_keys_in_ollamas_order_without_empty_ones() -> None:
    given = {"function": {"parameters": {"required": ["a"], "type": "object"}, "description": "", "name": "f"}}
    assert json.dumps(chat(tools=[given]).tools[0]) == (
        '{"function": {"name": "f", "parameters": {"type": "object", "required": ["a"], "properties": {}}}}'
    )


def test_calls_and_results_reach_the_conversation() -> None:
    call = {"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {"b": 1, "a": [2]}}}
    said = {"role": "Assistant", "thinking": "hm", "tool_calls": [call]}
    first, second = chat(messages=[said, {"role": "tool", "tool_name": "f", "tool_call_id": "call_1"}]).messages
    assert (first.role, first.thinking) == ("assistant", "hm")
    assert first.tool_calls == (ToolCall(name="f", arguments={"b": 1, "a": [2]}, id="call_1"),)
    assert (second.tool_name, second.tool_call_id) == ("f", "call_1")


ARGUMENTS = "ChatRequest.messages.tool_calls.function.arguments of type api.ToolCallFunctionArguments"
ACCEPTED = '"high", "medium", "low", "max", true, or false'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"messages": [{"tool_calls": [{"function": {"arguments": "{}"}}]}]},
            f"json: cannot unmarshal string into Go struct field {ARGUMENTS}",
        ),
        ({"tools": "f"}, "json: cannot unmarshal string into Go struct field ChatRequest.tools of type api.Tools"),
        (
            {"tools": [{"function": {"name": 1}}]},
            "json: cannot unmarshal number into Go struct field ChatRequest.tools.function.name of type string",
        ),
        ({"think": "x", "top_logprobs": 21}, f'invalid think value: "x" (must be {ACCEPTED})'),
        ({"think": ""}, f'invalid think value: "" (must be {ACCEPTED})'),
        ({"think": 1}, f"think must be a boolean or string ({ACCEPTED})"),
        ({"think": []}, f"think must be a boolean or string ({ACCEPTED})"),
    ],
)
def test_wrong_types_are_400_with_gos_words(body: dict[str, Any], text: str) -> None:
    with pytest.raises(OllamaFault) as caught:
        chat(**body)
    assert (caught.value.status, caught.value.text) == (400, text)


@pytest.mark.parametrize("think", [None, True, False, "low", "medium", "high", "max"])
def test_think_reaches_the_conversation(think: object) -> None:
    assert chat(think=think).think == think
