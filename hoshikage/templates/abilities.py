"""What chat templates can show, and which of a model's two counts. Pure; the rules are those of contract §6.4, §6.5."""

import functools
import re

from hoshikage.errors import TemplateFailed
from hoshikage.templates import go_chat
from hoshikage.templates.reasoning import Tags

TOOLS, THINKING = "tools", "thinking"
THINK = Tags("<think>", "</think>")
"""The only ones that are looked for in Jinja."""
SPLIT = re.compile(r"""split\(\s*["']</think>["']""")


def of_jinja(template: str) -> frozenset[str]:
    """Judged by words."""
    drops = SPLIT.search(template) and "reasoning_content" not in template
    thinks = drops or all(tag in template for tag in THINK)
    tools = TOOLS in template or "tool_call" in template
    return frozenset(able for able, found in ((TOOLS, tools), (THINKING, thinks)) if found)


def of_go(template: go_chat.Template) -> frozenset[str]:
    """Judged by the names it mentions."""
    found = ((TOOLS, template.tools), (THINKING, template.thinking))
    return frozenset(able for able, has in found if has)


def go_counts(template: go_chat.Template, jinja: frozenset[str]) -> bool:
    """Whether a Go template is used: not where the Jinja template of the file can do more, as in Ollama."""
    return not of_go(template) < jinja


@functools.lru_cache(maxsize=512)
def together(go: str | None, jinja: frozenset[str]) -> frozenset[str]:
    """What a model can be asked for that has a Go template, if it has one, and a Jinja template that can do this."""
    if not go:
        return jinja
    try:
        template = go_chat.parse(go)
    except TemplateFailed:
        return jinja
    return of_go(template) if go_counts(template, jinja) else jinja
