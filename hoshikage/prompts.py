"""The templates that a model brings. Knows no dialect and no request.

A Go TEMPLATE comes before the Jinja template of the file, as in Ollama; one that cannot be used is named in the log.
"""

import functools
import logging
from collections.abc import Callable

from hoshikage.engine.wire import Ready
from hoshikage.errors import LoadFailed, NotGguf, TemplateFailed
from hoshikage.models.entry import Entry
from hoshikage.models.headers import header_of
from hoshikage.templates import go_chat

log = logging.getLogger("hoshikage.templates")

PLAIN = "{% for message in messages %}{{ message.content }}{{ '' if loop.last else '\n' }}{% endfor %}"
"""For a model without a chat template: the texts as they are, one a line."""

Text = Callable[[Ready], str]
"""A prompt's text, made once the model is loaded, since Jinja templates name its BOS and EOS."""


def go_template(entry: Entry) -> go_chat.Template | None:
    """The model's TEMPLATE; None if it has none, or one that asks for more than there is."""
    if entry.stored.template is None:
        return None
    try:
        return go_chat.parse(entry.stored.template)
    except TemplateFailed as error:
        tell(entry.name, str(error))
        return None


@functools.lru_cache(maxsize=64)
def tell(name: str, reason: str) -> None:
    """Once for each model."""
    log.warning("%s: %s; the template of its file is used", name, reason)


def jinja_template(entry: Entry) -> str:
    """The chat template of the model's file. Raises FileMissing or LoadFailed."""
    try:
        return header_of(entry.file).chat_template or PLAIN
    except NotGguf as error:
        raise LoadFailed(reason=str(error)) from error
