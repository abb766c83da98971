"""The use case of a chat: find the model, render its template, generate. Knows no dialect and no HTTP."""

import functools
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from hoshikage.conversation import ChatRequest, Delta, Message
from hoshikage.engine.wire import Ready
from hoshikage.errors import FileMissing, LoadFailed, NotGguf
from hoshikage.generation import Backend, Prompt, check_generates, generate
from hoshikage.models.entry import Entry
from hoshikage.models.gguf import read_header
from hoshikage.templates.render import render

PLAIN = "{% for message in messages %}{{ message.content }}{{ '' if loop.last else '\n' }}{% endfor %}"
"""For a model without a chat template: the texts as they are, one a line."""


def chat(backend: Backend, request: ChatRequest) -> AsyncGenerator[Delta, None]:
    """The deltas that continue a chat. Raises ModelError at once, and what generate() raises."""
    entry = backend.registry.find(request.model)
    check_generates(entry, request.model, "chat")
    return generate(backend, entry, request, Prompt(text=prompt_of(entry, request.messages)))


def prompt_of(entry: Entry, messages: Sequence[Message]) -> "Render":
    """What renders the messages once the model is loaded; the model's own SYSTEM comes first where none is given."""
    if entry.system and (not messages or messages[0].role != "system"):
        messages = [Message(role="system", content=entry.system), *messages]
    return Render(template_of(entry), messages)


def template_of(entry: Entry) -> str:
    """The chat template of the model's file. Raises FileMissing or LoadFailed."""
    try:
        status = entry.file.stat()
        return _template(entry.file, status.st_size, status.st_mtime_ns)
    except FileNotFoundError as error:
        raise FileMissing(path=entry.file) from error
    except NotGguf as error:
        raise LoadFailed(reason=str(error)) from error


@functools.lru_cache(maxsize=64)
def _template(file: Path, _size: int, _mtime_ns: int) -> str:
    """Keyed by size and mtime, so that a header is read once a version of the file."""
    return read_header(file).chat_template or PLAIN


class Render:
    """A template and the messages it is for."""

    def __init__(self, template: str, messages: Sequence[Message]) -> None:
        self.template = template
        self.messages = messages

    def __call__(self, ready: Ready) -> str:
        return render(self.template, self.messages, bos=ready.bos, eos=ready.eos)
