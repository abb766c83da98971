"""A chat or prompt -> the prompt text, by a Go template with Ollama's semantics. Knows no engine.

The rules are those of Ollama's `template` package: messages of one role are joined, and a template without `.Messages`
runs once a turn, the last time only up to `.Response`.
"""

import functools
from collections.abc import Mapping, Sequence

from msgspec import Struct

from hoshikage.conversation import Message, Think
from hoshikage.templates import go_data
from hoshikage.templates.go import trees
from hoshikage.templates.go.budget import Budget
from hoshikage.templates.go.execution import execute
from hoshikage.templates.go.functions import NAMES
from hoshikage.templates.go.nodes import Body
from hoshikage.templates.go.parser import parse as parse_nodes
from hoshikage.templates.go.values import clean

Turn = Message | Mapping[str, object]
"""A message, or a mapping in the API's shape: role, content, thinking, images, tool_calls, tool_name, tool_call_id."""


class Template(Struct, frozen=True, eq=False):
    """A parsed template; `names` are all its fields in lower case, `last` is what the last turn runs.

    `calls_tag` is what it writes before calls of tools.
    """

    source: str
    body: Body
    last: Body
    names: frozenset[str]
    thinking_tags: tuple[str, str] | None
    calls_tag: str

    @property
    def messages(self) -> bool:
        """Whether it renders the whole chat at once."""
        return "messages" in self.names

    @property
    def response(self) -> bool:
        """Whether it places the answer itself."""
        return "response" in self.names

    @property
    def tools(self) -> bool:
        """Whether it can show tools."""
        return "tools" in self.names

    @property
    def suffix(self) -> bool:
        """Whether it can fill in the middle."""
        return "suffix" in self.names

    @property
    def thinking(self) -> bool:
        """Whether it marks earlier thinking, so that the model's own can be told from its answer."""
        return self.thinking_tags is not None


@functools.lru_cache(maxsize=32)
def parse(text: str) -> Template:
    """The template. Raises TemplateFailed that names what is wrong or not supported, and its line."""
    body = parse_nodes(text, NAMES)
    names = trees.mentioned(body)
    if not {"messages", "response"} & names:
        body = (*body, trees.RESPONSE)
    return Template(text, body, trees.up_to_response(body), names, trees.thinking_tags(body), trees.calls_tag(body))


def render_chat(
    template: Template,
    messages: Sequence[Turn],
    *,
    tools: Sequence[Mapping[str, object]] = (),
    system: str | None = None,
    think: Think = None,
) -> str:
    """The prompt for the assistant's next turn. `system` goes in front, unless the chat brings its own.

    Raises TemplateFailed with Go's reason and the line.
    """
    turns = [go_data.as_mapping(message) for message in messages]
    if system and not (turns and turns[0]["role"] == "system"):
        turns.insert(0, {"role": "system", "content": clean(system)})
    joined, shared = _collated(turns), _thinking(think) | {"Response": ""}
    if not template.messages:
        return _turn_by_turn(template, joined, _thinking(think))
    data = shared | {
        "System": "\n\n".join(str(turn["content"]) for turn in turns if turn["role"] == "system"),
        "Messages": [go_data.message(str(turn["role"]), str(turn["content"]), turn) for turn in joined],
        "Tools": go_data.tools(tools),
    }
    return execute(template.body, template.source, data, Budget())


def render_prompt(
    template: Template,
    *,
    prompt: str,
    system: str | None = None,
    suffix: str = "",
    history: Sequence[Turn] = (),
    think: Think = None,
) -> str:
    """The prompt for a completion: with `suffix`, prompt and suffix alone; else a chat of one question.

    `history` are the model's stored messages, which stand between system and prompt. Raises TemplateFailed.
    """
    if suffix:
        data = _thinking(think) | {"Prompt": clean(prompt), "Suffix": clean(suffix), "Response": ""}
        return execute(template.body, template.source, data, Budget())
    first = [{"role": "system", "content": system}] if system else []
    return render_chat(template, [*first, *history, {"role": "user", "content": prompt}], think=think)


def _thinking(think: Think) -> dict[str, object]:
    level = clean(think) if isinstance(think, str) else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _collated(turns: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Neighbours of one role joined by a blank line, except tools' results; their calls and images join, too."""
    joined: list[dict[str, object]] = []
    for turn in turns:
        if joined and turn["role"] == joined[-1]["role"] != "tool":
            joined[-1] = _together(joined[-1], turn)
        else:
            joined.append(turn)
    return joined


def _together(first: dict[str, object], second: dict[str, object]) -> dict[str, object]:
    both: dict[str, object] = {"content": f"{first['content']}\n\n{second['content']}"}
    for key in ("images", "tool_calls"):
        lists = [turn[key] for turn in (first, second) if isinstance(turn.get(key), list | tuple)]
        both[key] = [item for items in lists if isinstance(items, list | tuple) for item in items]
    return first | both


def _turn_by_turn(template: Template, turns: Sequence[dict[str, object]], shared: dict[str, object]) -> str:
    """One run for each system, prompt and response that belong together."""
    parts: list[str] = []
    budget = Budget()
    place = {"system": "System", "user": "Prompt", "assistant": "Response"}
    present = {"System": "", "Prompt": "", "Response": ""}
    for turn in turns:
        field = place.get(str(turn["role"]))
        if field is None:
            continue
        if field != "Response" and (present["Response"] or (field == "System" and present["Prompt"])):
            parts.append(execute(template.body, template.source, shared | present, budget))
            present = dict.fromkeys(present, "")
        present[field] = str(turn["content"])
    parts.append(execute(template.last, template.source, shared | present, budget))
    return "".join(parts)
