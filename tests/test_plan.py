"""What is decided for a request: the template, what it is told of tools and thinking, and what is refused."""

import logging
from pathlib import Path
from typing import Any

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.chat_settings import ChatSettings
from hoshikage.constraints import Constraint
from hoshikage.conversation import ChatRequest, CompletionRequest, Message, ToolCall
from hoshikage.engine.wire import Ready
from hoshikage.errors import NoThinking, NoTools, TemplateFailed
from hoshikage.models.entry import Entry, Stored
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files
from hoshikage.plan import Plan, plan_of

READY = Ready(window=8, allocated=8, trained=8, size=1, size_vram=0, bos="", eos="")
HI = (Message(role="user", content="hi"),)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
THINKS = PLAIN + "{% if enable_thinking %}<think>{% else %}<think></think>{% endif %}"
CALLS = "{% if tools %}{{ tools[0].function.name }}:{% endif %}" + PLAIN
GO_CALLS = "{{ range .Tools }}{{ .Function.Name }}:{{ end }}{{ range .Messages }}{{ .Content }}{{ end }}"
MARKS = (
    "{% for m in messages %}<think>{{ m.reasoning_content }}</think>"
    "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{{ m.name }}{% endfor %}"
)


def registered(tmp_path: Path, go: str | None = None, jinja: str = PLAIN, name: str = "m") -> Entry:
    registry = Registry(Files(tmp_path / "m", tmp_path / "c", tmp_path / "o", tmp_path))
    file = make_tiny(tmp_path / "tiny.gguf", chat_template=jinja)
    return registry.register(name, Stored(path=str(file), template=go, system="S"), replace=True)


def plan(entry: Entry, *, template: str | None = None, settings: dict[str, bool] | None = None, **asked: Any) -> Plan:
    chosen = ChatSettings(**{"go_template": True, "strict": False, "tools_generic": False, **(settings or {})})
    request = ChatRequest(model="asked", **{"messages": HI, **asked})
    return plan_of(entry, request, chosen, template=template)


def text(found: Plan) -> str:
    return found.text(HI)(READY)


def test_a_go_template_comes_before_the_files_own_unless_it_is_switched_off(tmp_path: Path) -> None:
    entry = registered(tmp_path, "{{ .System }}|{{ .Prompt }}")
    assert text(plan(entry)) == "S|hi"
    assert text(plan(entry, settings={"go_template": False})) == "<system>S<user>hi"
    assert text(plan(registered(tmp_path))) == "<system>S<user>hi"


def test_the_files_own_comes_first_where_it_can_do_more(tmp_path: Path) -> None:
    entry = registered(tmp_path, "{{ .Prompt }}", CALLS)
    assert text(plan(entry, tools=(TOOL,))) == "f:<system>S<user>hi"
    assert entry.capabilities == ("completion", "tools")
    assert text(plan(registered(tmp_path, GO_CALLS, CALLS), tools=(TOOL,))) == "f:Shi"


def test_one_that_asks_for_too_much_is_named_and_the_files_own_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = registered(tmp_path, '{{ define "x" }}{{ end }}', name="too-much")
    with caplog.at_level(logging.WARNING):
        assert text(plan(entry)) == "<system>S<user>hi"
    assert "too-much: template error" in caplog.text
    assert "define" in caplog.text


def test_the_requests_template_comes_first_and_must_be_right(tmp_path: Path) -> None:
    entry = registered(tmp_path, "{{ .Prompt }}")
    assert text(plan(entry, template="[{{ .Prompt }}]")) == "[hi]"
    with pytest.raises(TemplateFailed, match="nope"):
        plan(entry, template="{{ nope }}")


@pytest.mark.parametrize(("think", "end"), [(None, "<think>"), (True, "<think>"), (False, "<think></think>")])
def test_a_model_that_can_think_does_unless_it_is_told_not_to(tmp_path: Path, think: bool | None, end: str) -> None:
    found = plan(registered(tmp_path, jinja=THINKS), think=think)
    assert text(found) == f"<system>S<user>hi{end}"
    assert found.begun(text(found)) is (end == "<think>")


def test_levels_reach_the_template_in_its_words(tmp_path: Path) -> None:
    entry = registered(tmp_path, jinja=THINKS + "{{ reasoning_effort }}")
    assert [text(plan(entry, think=level))[-4:] for level in ("high", "max")] == ["high", "high"]


def test_calls_results_and_thinking_of_the_past_are_shown(tmp_path: Path) -> None:
    call = Message(role="assistant", thinking="hm", tool_calls=(ToolCall(name="f", arguments={"b": 1}, id="c1"),))
    shown = plan(registered(tmp_path, jinja=MARKS)).text([call, Message(role="tool", content="2", tool_name="f")])
    calls = '[{"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"b": 1}}}]'
    assert f"<think>hm</think>{calls}" in shown(READY)
    assert shown(READY).endswith("f")


def test_what_a_plain_model_cannot_do_is_left_out_and_said_so(tmp_path: Path) -> None:
    found = plan(registered(tmp_path), think="high", tools=(TOOL,))
    assert (found.warnings, found.parser, found.tags) == (("think-ignored", "tools-ignored"), None, None)
    assert plan(registered(tmp_path), think=False).warnings == ()


def test_strictly_it_is_refused_in_ollamas_words(tmp_path: Path) -> None:
    entry, strict = registered(tmp_path), {"strict": True}
    with pytest.raises(NoThinking, match=r'^"asked" does not support thinking$'):
        plan(entry, think=True, tools=(TOOL,), settings=strict)
    with pytest.raises(NoTools, match=r"^registry\.ollama\.ai/library/m:latest does not support tools$"):
        plan(entry, think=False, tools=(TOOL,), settings=strict)
    with pytest.raises(NoThinking, match="Pull the model again to get the latest version with full thinking support"):
        plan(registered(tmp_path, name="deepseek-r1"), think=True, settings=strict)


def test_where_it_is_wanted_tools_are_told_in_the_system_message(tmp_path: Path) -> None:
    found = plan(registered(tmp_path), tools=(TOOL,), settings={"tools_generic": True})
    past = Message(role="assistant", tool_calls=(ToolCall(name="f"),))
    told = found.text([*HI, past, Message(role="tool", content="2", tool_name="f")])(READY)
    assert told.startswith("<system>S\n\nYou may call functions.")
    assert '{"name": "f", "parameters": {"type": "object", "properties": {}}}' in told
    assert told.endswith('<user>hi<assistant>{"name": "f", "arguments": {}}<user>The result of f:\n2')
    assert found.parser
    assert found.parser().feed('{"name": "f", "arguments": {"a": 1}}') == [ToolCall(name="f", arguments={"a": 1})]


def test_a_format_holds_for_the_answer_and_not_for_what_is_thought(tmp_path: Path) -> None:
    entry, format_ = registered(tmp_path, jinja=THINKS), Constraint(kind="json")
    thinking, silent = (plan(entry, think=think, constraint=format_) for think in (True, False))
    constraints = [thinking.constrained("x<think>\n"), thinking.constrained("x"), silent.constrained("x")]
    after = [("", "</think>"), ("<think>", "</think>"), None]
    assert [each.after for each in constraints if each] == after
    assert plan(registered(tmp_path), constraint=format_).constrained("x") == format_


def test_a_single_prompt_has_no_tools_but_may_think(tmp_path: Path) -> None:
    settings = ChatSettings(go_template=True, strict=False, tools_generic=True)
    found = plan_of(registered(tmp_path, jinja=THINKS), CompletionRequest(model="m", prompt="hi"), settings)
    assert (found.think, found.parser, found.tags) == (True, None, ("<think>", "</think>"))
