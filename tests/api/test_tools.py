"""Tools and thinking over HTTP with the starter's weights, whose chats end where they are to be copied from.

Its own template has neither, so models with other TEMPLATEs are made of it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.program import serve

HERMES = (
    "{{ range .Tools }}{{ .Function.Name }}\n{{ end }}{{ range .Messages }}"
    '{{ if eq .Role "user" }}Q: {{ .Content }}\nA:\n{{ else }}'
    "{{ if .Thinking }}<think>\n{{ .Thinking }}\n</think>\n\n{{ end }}{{ .Content }}"
    '{{ range .ToolCalls }}<tool_call>\n{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}\n'
    "</tool_call>{{ end }}\n{{ end }}{{ end }}{{ if .Think }}<think>\n{{ end }}"
)
BARE = (
    "{{ range .Tools }}{{ . }}\n{{ end }}{{ range .Messages }}{{ .Content }}\n"
    '{{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "parameters": {{ .Function.Arguments }}}{{ end }}{{ end }}'
)
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}
OPTIONS = {"temperature": 0, "num_predict": 60, "stop": ["\nQ:", "\n\nQ:"]}
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serve(tmp_path_factory.mktemp("home"), starter) as program, program.client() as client:
        for name, template in (("hermes", HERMES), ("bare", BARE)):
            made = client.post("/api/create", json={"model": name, "from": "starter", "template": template})
            assert made.status_code == 200, made.text
        yield client


def turns(**said: Any) -> list[dict[str, Any]]:
    """The same exchange a few times, then the question once more."""
    question = {"role": "user", "content": "What is the weather in Paris?"}
    return [question, {"role": "assistant", **said}] * 4 + [question]


def ask(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    reply = client.post("/api/chat", json={"model": "hermes", "options": OPTIONS, **body})
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def test_a_call_is_a_chunk_of_its_own_before_the_end(client: httpx.Client) -> None:
    lines = ask(client, messages=turns(tool_calls=[{"function": CALL}]), tools=[TOOL], think=False)
    called, end = (line for line in lines if "tool_calls" in line["message"] or line["done"])
    (call,) = called["message"]["tool_calls"]
    assert re.fullmatch("call_[a-z0-9]{8}", call["id"])
    assert call["function"] == {"index": 0, **CALL}
    assert (called["done"], called["message"]["content"]) == (False, "")
    assert (end["done_reason"], "tool_calls" in end["message"]) == ("stop", False)


def test_without_a_stream_calls_are_in_the_one_message(client: httpx.Client) -> None:
    messages = turns(content="One moment.", tool_calls=[{"function": CALL}])
    (whole,) = ask(client, messages=messages, tools=[TOOL], think=False, stream=False)
    assert [call["function"] for call in whole["message"]["tool_calls"]] == [{"index": 0, **CALL}]
    assert (whole["message"]["content"], whole["done_reason"]) == ("One moment.", "stop")


def test_without_tools_in_the_request_a_call_is_text(client: httpx.Client) -> None:
    (whole,) = ask(client, messages=turns(tool_calls=[{"function": CALL}]), think=False, stream=False)
    assert whole["message"]["content"].startswith("<tool_call>")
    assert "tool_calls" not in whole["message"]


def test_a_call_that_a_format_forces_is_found_where_the_answer_starts_with_it(client: httpx.Client) -> None:
    call = {
        "type": "object",
        "properties": {"name": {"const": "get_weather"}, "parameters": CITY},
        "required": ["name", "parameters"],
        "additionalProperties": False,
    }
    (whole,) = ask(client, model="bare", messages=turns(), tools=[TOOL], format=call, stream=False)
    (found,) = whole["message"]["tool_calls"]
    assert found["function"]["name"] == "get_weather"
    assert found["function"]["arguments"]["city"] in {"Oslo", "Rome"}
    assert whole["message"]["content"] == ""


THOUGHT = "I look at the map of Paris."


def test_thinking_comes_first_without_its_tags(client: httpx.Client) -> None:
    lines = ask(client, messages=turns(thinking=THOUGHT, content="Sunny."), logprobs=True)
    kinds = ["thinking" if "thinking" in line["message"] else "content" for line in lines[:-1]]
    thought, said = ("".join(line["message"].get(kind, "") for line in lines) for kind in ("thinking", "content"))
    assert kinds == sorted(kinds, reverse=True)
    assert (thought, said.strip()) == (THOUGHT, "Sunny.")
    tokens = [each["token"] for line in lines for each in line.get("logprobs", ())]
    assert "".join(tokens).split() == f"{THOUGHT} </think> {said}".split()


def test_a_format_holds_for_the_answer_alone(client: httpx.Client) -> None:
    messages = turns(thinking=THOUGHT, content='{"city": "Rome"}')
    (whole,) = ask(client, messages=messages, format=CITY, stream=False)
    assert whole["message"]["thinking"] == THOUGHT
    assert json.loads(whole["message"]["content"])["city"] in {"Oslo", "Rome"}


def test_generate_tells_thinking_from_the_response_in_raw_mode_too(client: httpx.Client) -> None:
    prompt = f"Q: Where?\nA:\n<think>\n{THOUGHT}\n</think>\n\nHere.\n" * 4 + "Q: Where?\nA:\n"
    body = {"model": "hermes", "prompt": prompt, "raw": True, "stream": False, "options": OPTIONS}
    found = client.post("/api/generate", json=body).json()
    assert (found["thinking"], found["response"].strip()) == (THOUGHT, "Here.")


def test_openai_clients_get_the_thinking_as_reasoning(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": f"<think>\n{THOUGHT}\n</think>\n\nSunny.\n" * 4}]
    body = {"model": "hermes", "messages": messages, "temperature": 0, "max_tokens": 8, "stop": ["\nQ:"]}
    (choice,) = client.post("/v1/chat/completions", json=body).json()["choices"]
    assert choice["message"]["reasoning"]
    assert "<think>" not in choice["message"]["reasoning"]


def test_what_a_model_can_do_is_told_by_its_template(client: httpx.Client) -> None:
    listed = {each["name"]: each["capabilities"] for each in client.get("/api/tags").json()["models"]}
    assert listed["hermes:latest"] == ["completion", "tools", "thinking"]
    assert listed["bare:latest"] == ["completion", "tools"]
    assert listed["starter:latest"] == ["completion"]
    shown = client.post("/api/show", json={"model": "hermes"}).json()
    assert (shown["capabilities"], shown["template"]) == (listed["hermes:latest"], HERMES)
