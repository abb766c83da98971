"""Questions to a parsed template: what it mentions, its text up to `.Response`, its marks of thinking and calls."""

from hoshikage.templates.go.nodes import (
    Action,
    Arm,
    Body,
    Command,
    Field,
    If,
    Node,
    Operand,
    Pipeline,
    Range,
    Text,
    Variable,
    With,
)

RESPONSE = Action(
    Pipeline(0, ".Response", (), False, (Command(0, ".Response", (Field(0, ".Response", ("Response",)),)),))
)

MARK_MAX = 128
"""Characters of a mark: every piece of an answer is searched for it."""


def mentioned(body: Body) -> frozenset[str]:
    """All field names, in lower case."""
    return frozenset(name.lower() for node in body for pipe in _pipes(node) for name in _names(pipe))


def blocks(node: Node) -> tuple[Body, ...]:
    """The bodies inside a node."""
    if isinstance(node, If | With):
        return (*(arm.body for arm in node.arms), node.otherwise)
    return (node.body, node.otherwise) if isinstance(node, Range) else ()


def _pipes(node: Node) -> list[Pipeline]:
    own: list[Pipeline] = []
    if isinstance(node, If | With):
        own = [arm.pipe for arm in node.arms]
    elif isinstance(node, Action | Range):
        own = [node.pipe]
    return own + [pipe for body in blocks(node) for inner in body for pipe in _pipes(inner)]


def _names(operand: Operand) -> list[str]:
    if isinstance(operand, Field | Variable):
        return list(operand.names)
    if isinstance(operand, Pipeline):
        return [name for command in operand.commands for arg in command.args for name in _names(arg)]
    return []


def up_to_response(body: Body) -> Body:
    """What stands before the first printed `.Response`, and that itself; the blocks around it close there."""
    return _Cut().body(body)


class _Cut:
    def __init__(self) -> None:
        self.done = False

    def body(self, nodes: Body) -> Body:
        kept = []
        for node in nodes:
            if self.done:
                break
            cut = self._node(node)
            if cut is not None:
                kept.append(cut)
        return tuple(kept)

    def _node(self, node: Node) -> Node | None:
        match node:
            case Action():
                pipe = self._pipe(node.pipe)
                return Action(pipe) if pipe else None
            case If() | With():
                arms = tuple([Arm(arm.pipe, self.body(arm.body)) for arm in node.arms])
                return type(node)(arms, self.body(node.otherwise))
            case Range():
                return Range(node.pipe, self.body(node.body), self.body(node.otherwise))
        return node

    def _pipe(self, pipe: Pipeline) -> Pipeline | None:
        commands = []
        for command in pipe.commands:
            args = tuple([kept for arg in command.args if (kept := self._operand(arg))])
            if not args:
                return None
            commands.append(Command(command.pos, command.text, args))
        return Pipeline(pipe.pos, pipe.text, pipe.declared, pipe.assigns, tuple(commands))

    def _operand(self, operand: Operand) -> Operand | None:
        if self.done:
            return None
        if isinstance(operand, Field) and "Response" in operand.names:
            self.done = True
        return self._pipe(operand) if isinstance(operand, Pipeline) else operand


def thinking_tags(body: Body) -> tuple[str, str] | None:
    """The texts around a printed `.Thinking` inside a range over `.Messages`; None where there is none."""
    for node in body:
        inside = isinstance(node, Range) and "Messages" in _names(node.pipe)
        for block in blocks(node):
            tags = _tags(block) if inside else thinking_tags(block)
            if tags:
                return tags
    return None


def _tags(body: Body) -> tuple[str, str] | None:
    """The texts next to it, else, as Ollama takes them, the first and the last of its block."""
    for at, node in enumerate(body):
        if isinstance(node, Action) and _names(node.pipe)[-1:] == ["Thinking"]:
            around = body[max(at - 1, 0)], body[min(at + 1, len(body) - 1)]
            tags = _texts(*around) or _texts(body[0], body[-1])
            if tags:
                return tags
    inner = (_tags(block) for node in body for block in blocks(node))
    return next((tags for tags in inner if tags), None)


def _texts(opening: Node, closing: Node) -> tuple[str, str] | None:
    texts = [node.text.strip() for node in (opening, closing) if isinstance(node, Text)]
    return (texts[0], texts[1]) if len(texts) == 2 and all(map(_marks, texts)) else None


def _marks(text: str) -> bool:
    return 0 < len(text) <= MARK_MAX


def calls_tag(body: Body) -> str:
    """The first text inside a block about `.ToolCalls`, without blanks around; empty where there is none."""
    for node in body:
        about = isinstance(node, If | With | Range) and any("ToolCalls" in _names(pipe) for pipe in _guards(node))
        for block in blocks(node):
            if tag := _first_text(block) if about else calls_tag(block):
                return tag
    return ""


def _guards(node: If | With | Range) -> list[Pipeline]:
    return [node.pipe] if isinstance(node, Range) else [arm.pipe for arm in node.arms]


def _first_text(body: Body) -> str:
    for node in body:
        found = [node.text.strip()] if isinstance(node, Text) else [_first_text(block) for block in blocks(node)]
        if tag := next(filter(None, found), ""):
            return tag if _marks(tag) else ""
    return ""
