"""Chats and prompts by Go templates: the formats of well-known models, and what a template tells about itself."""

import datetime
from typing import Any

import pytest

from hoshikage.conversation import Message
from hoshikage.errors import TemplateFailed
from hoshikage.templates.go_chat import parse, render_chat, render_prompt
from tests.templates.go.cases import FOLDER, files, loaded, template

CASES = [(path, at) for path in files("chats") for at in range(len(loaded(path)))]


def rendered(source: str, case: dict[str, Any]) -> str:
    if "prompt" in case:
        return render_prompt(parse(source), **case["prompt"])
    request = dict(case["chat"])
    return render_chat(parse(source), request.pop("messages"), **request)


@pytest.mark.parametrize(("path", "at"), CASES, ids=[f"{path.stem}-{at}" for path, at in CASES])
def test_a_chat_becomes_the_prompt_that_ollama_makes(path: Any, at: int) -> None:
    case = loaded(path)[at]
    assert rendered(template(path), case) == case["expected"]


def test_messages_of_the_conversation_are_turns() -> None:
    chatml = parse((FOLDER / "chats" / "chatml.tmpl").read_text())
    turns = (Message(role="user", content="Hi"), Message(role="assistant", content="Yes?"))
    expected = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n<|im_start|>assistant\n"
    assert render_chat(chatml, turns) == expected


@pytest.mark.parametrize(
    ("name", "can"),
    [
        ("chatml", {"messages"}),
        ("chatml_turns", {"response"}),
        ("mistral_tools", {"messages", "tools"}),
        ("qwen_thinking", {"messages", "tools", "thinking"}),
        ("fill_in_the_middle", {"messages", "suffix"}),
        ("prompt_alone", set()),
    ],
)
def test_a_template_tells_what_it_can(name: str, can: set[str]) -> None:
    parsed = parse((FOLDER / "chats" / f"{name}.tmpl").read_text())
    told = ("messages", "response", "tools", "suffix", "thinking")
    assert {word for word in told if getattr(parsed, word)} == can


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("{{ range .Messages }}<think>{{ .Thinking }}</think>{{ end }}", ("<think>", "</think>")),
        (
            "{{ range $i, $m := $.Messages }}{{ if $m.Thinking }} [T]\n{{ $m.Thinking }} [/T] {{ end }}{{ end }}",
            ("[T]", "[/T]"),
        ),
        ("{{ range .Messages }}{{ if .Thinking }}<t>{{ .Thinking }}{{ `.` }}</t>{{ end }}{{ end }}", ("<t>", "</t>")),
        ("{{ range .Messages }}{{ .Thinking }}</think>{{ end }}", None),
        ("{{ range .Messages }}{{ if .Thinking }}a{{ end }}b{{ end }}", None),
        ("<think>{{ .Thinking }}</think>{{ .Messages }}", None),
    ],
)
def test_thinking_is_told_by_the_texts_around_it(source: str, tags: tuple[str, str] | None) -> None:
    assert parse(source).thinking_tags == tags


def test_a_text_longer_than_any_mark_is_none() -> None:
    long = "<" + "t" * 200 + ">"
    source = (
        "{{ range .Messages }}OPEN{{ .Thinking }}END{{ range .ToolCalls }}CALL{{ .Function.Name }}{{ end }}{{ end }}"
    )
    assert (parse(source).thinking_tags, parse(source).calls_tag) == (("OPEN", "END"), "CALL")
    hostile = source.replace("END{", long + "{").replace("CALL", long)
    assert (parse(hostile).thinking_tags, parse(hostile).calls_tag) == (None, "")


def test_dates_are_the_local_ones() -> None:
    before = datetime.datetime.now().astimezone().date()
    made = render_prompt(parse("{{ currentDate }} {{ yesterdayDate `02 Jan` }}"), prompt="x")
    days = {before, datetime.datetime.now().astimezone().date()}
    assert made in {f"{day} {day - datetime.timedelta(days=1)}" for day in days}


def test_stored_messages_stand_between_system_and_prompt() -> None:
    chat = parse("{{ range .Messages }}{{ .Role }}:{{ .Content }};{{ end }}")
    history = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]
    made = render_prompt(chat, prompt="3", system="S", history=history)
    assert made == "system:S;user:1;assistant:2;user:3;"


def test_calls_and_images_of_joined_messages_stay() -> None:
    chat = parse(
        "{{ range .Messages }}{{ .Content }}{{ len .Images }}{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{end}}"
    )
    turn = {"role": "assistant", "content": "a", "images": ["x"], "tool_calls": [{"function": {"name": "f"}}]}
    assert render_chat(chat, [turn, turn]) == "a\n\na2ff"


def test_whole_numbers_that_a_float_cannot_hold_keep_their_digits() -> None:
    chat = parse("{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Arguments }}{{ end }}{{ end }}")
    arguments = {"id": 12345678901234567, "n": 5, "list": [1, 2.5, True, None]}
    turn = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    assert render_chat(chat, [turn]) == '{"id":12345678901234567,"n":5,"list":[1,2.5,true,null]}'


def test_lone_surrogates_become_replacement_characters() -> None:
    chat = parse("{{ range .Messages }}{{ .Content }}{{ json .Content }}{{ end }}")
    assert render_chat(chat, [Message(role="user", content="a\udc80é")]) == 'a\ufffdé"a\ufffdé"'


def test_a_field_that_messages_lack_fails_with_its_place() -> None:
    chat = parse("{{ range .Messages }}\n{{ .Content.Parts }}{{ end }}")
    with pytest.raises(TemplateFailed) as failed:
        render_chat(chat, [Message(role="user", content="a")])
    reason = 'template: :2:11: executing "" at <.Content.Parts>: can\'t evaluate field Parts in type string'
    assert failed.value.data["reason"] == reason


def test_schemas_nested_too_deep_are_refused() -> None:
    schema: dict[str, object] = {"type": "object"}
    for _ in range(5000):
        schema = {"type": "object", "properties": {"x": schema}}
    with pytest.raises(TemplateFailed, match="nested deeper"):
        render_chat(parse("{{ .Tools }}{{ .Messages }}"), [], tools=[{"function": {"parameters": schema}}])


def test_all_turns_of_an_old_template_share_one_budget() -> None:
    turns = [Message(role=role, content="x") for _ in range(200) for role in ("user", "assistant")]
    with pytest.raises(TemplateFailed, match="more than 1000000 steps"):
        render_chat(parse("{{ .Prompt }}{{ range 20000 }}{{ end }}{{ .Response }}"), turns)


def test_parsed_templates_are_kept() -> None:
    assert parse("{{ .Prompt }} once") is parse("{{ .Prompt }} once")
