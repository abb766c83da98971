"""How a chat is rendered and its answer read: the template, tools, thinking, and what is not done as asked.

Decided once for a request. Knows no dialect, no HTTP and no engine.
"""

import json
from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from hoshikage.chat_settings import ChatSettings
from hoshikage.constraints import Constraint
from hoshikage.conversation import ChatRequest, Message, Request, Think, Tool
from hoshikage.errors import NoThinking, NoTools
from hoshikage.models.entry import Entry
from hoshikage.prompts import Text, go_template, jinja_template
from hoshikage.templates import abilities, go_chat
from hoshikage.templates.reasoning import Tags
from hoshikage.templates.render import render
from hoshikage.templates.tools import generic
from hoshikage.templates.tools.base import Parser
from hoshikage.templates.tools.formats import format_of

PULL_AGAIN = ". Pull the model again to get the latest version with full thinking support"
ONCE_WITHOUT = ("qwen3", "deepseek-r1")
"""Family and model whose first versions on Ollama's registry did not think."""

Template = go_chat.Template | str
"""Parsed Go, or the text of a Jinja template."""


class Plan(Struct, frozen=True, kw_only=True):
    """`tools` are what the template is given, `think` what it is told, `system` what goes in front of a chat without.

    `tags` stand around the thinking of an answer, `parser` makes a reader of its calls; None where there can be none.
    `instructions` tell of the tools where the template cannot. `constraint` is that of the answer.
    """

    template: Template
    system: str | None = None
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    think: Think = None
    tags: Tags | None = None
    parser: Callable[[], Parser] | None = None
    constraint: Constraint | None = None
    warnings: tuple[str, ...] = ()

    def text(self, turns: Sequence[Message]) -> Text:
        """The prompt of these turns, which may be some of those of the request. Cheap until it is called.

        Rendering a hostile template takes up to seconds: not for the event loop.
        """
        template, tools, think, messages = self.template, self.tools, self.think, self._led(turns)
        if isinstance(template, str):
            return lambda ready: render(template, messages, bos=ready.bos, eos=ready.eos, tools=tools, think=think)
        return lambda _ready: go_chat.render_chat(template, messages, tools=tools, think=think)

    def begun(self, prompt: str) -> bool:
        """Whether the prompt has opened the thinking already."""
        return self.tags is not None and prompt.rstrip().endswith(self.tags.opening)

    def constrained(self, prompt: str) -> Constraint | None:
        """The constraint of the answer to a prompt: what is thought before is free."""
        if self.constraint is None or self.tags is None:
            return self.constraint
        if self.begun(prompt):
            return structs.replace(self.constraint, after=("", self.tags.closing))
        return structs.replace(self.constraint, after=tuple(self.tags)) if self.think else self.constraint

    def _led(self, turns: Sequence[Message]) -> list[Message]:
        """With the system message in front, and the tools told of in it where the template cannot."""
        messages = list(turns)
        if self.system and (not messages or messages[0].role != "system"):
            messages.insert(0, Message(role="system", content=self.system))
        if not self.instructions:
            return messages
        first = messages.pop(0).content if messages and messages[0].role == "system" else ""
        content = "\n\n".join(filter(None, (first, self.instructions)))
        return [Message(role="system", content=content), *map(told, messages)]


def told(turn: Message) -> Message:
    """A turn in words, for a template that knows neither calls nor results."""
    if turn.role == "tool":
        source = f" of {turn.tool_name}" if turn.tool_name else ""
        return Message(role="user", content=f"The result{source}:\n{turn.content}", images=turn.images)
    calls = [json.dumps({"name": call.name, "arguments": call.arguments}) for call in turn.tool_calls]
    content = "\n".join(filter(None, (turn.content, *calls)))
    return structs.replace(turn, content=content, tool_calls=()) if calls else turn


def plan_of(entry: Entry, request: Request, settings: ChatSettings, *, template: str | None = None) -> Plan:
    """The plan for a request; `template` is Go text in place of the model's own.

    Raises LoadFailed, TemplateFailed, and in strict mode NoThinking or NoTools. Reading a hostile template takes up to
    seconds: not for the event loop.
    """
    chosen = template_of(entry, settings, template)
    able = abilities.of_jinja(chosen) if isinstance(chosen, str) else abilities.of_go(chosen)
    plan = Plan(template=chosen, system=entry.system, think=request.think, constraint=request.constraint)
    plan = with_thinking(plan, entry, request, strict=settings.strict, able=abilities.THINKING in able)
    if isinstance(request, ChatRequest):
        plan = with_tools(plan, entry, request, settings, able=abilities.TOOLS in able)
    return plan


def template_of(entry: Entry, settings: ChatSettings, given: str | None) -> Template:
    """The request's, else the model's TEMPLATE unless its file's template can do more, else that."""
    if given:
        return go_chat.parse(given)
    own = go_template(entry) if settings.go_template else None
    of_file = jinja_template(entry)
    return own if own is not None and abilities.go_counts(own, abilities.of_jinja(of_file)) else of_file


def with_thinking(plan: Plan, entry: Entry, request: Request, *, strict: bool, able: bool) -> Plan:
    """A model that can think does so unless it is told not to."""
    if able:
        found = None if isinstance(plan.template, str) else plan.template.thinking_tags
        tags = Tags(*found) if found else abilities.THINK
        return structs.replace(plan, tags=tags, think=True if request.think is None else request.think)
    if not request.think:
        return plan
    if strict:
        once = entry.stored.facts.family, entry.parsed.model.lower()
        raise NoThinking(model=request.model, way=PULL_AGAIN if set(once) & set(ONCE_WITHOUT) else "")
    return structs.replace(plan, think=None, warnings=(*plan.warnings, "think-ignored"))


def with_tools(plan: Plan, entry: Entry, request: ChatRequest, settings: ChatSettings, *, able: bool) -> Plan:
    """The tools by the template; where it has none, in words if that is wanted, else left out."""
    tools, template = request.tools, plan.template
    if able:
        source, tag = (template, "") if isinstance(template, str) else (template.source, template.calls_tag)
        row = format_of(source)
        return structs.replace(plan, tools=tools, parser=lambda: row.parser(tools, tag)) if tools else plan
    if tools and settings.strict:
        raise NoTools(model=entry.parsed.full)
    if tools and settings.tools_generic:
        instructions = generic.instructions(tools)
        return structs.replace(plan, instructions=instructions, parser=lambda: generic.parser(tools, ""))
    if tools or any(turn.tool_calls for turn in request.messages):
        return structs.replace(plan, warnings=(*plan.warnings, "tools-ignored"))
    return plan
