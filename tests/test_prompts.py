"""Which template renders a model's prompt: its Go TEMPLATE, the request's, or the Jinja of its file."""

import logging
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.conversation import Message
from hoshikage.engine.wire import Ready
from hoshikage.errors import TemplateFailed
from hoshikage.models.entry import Entry, Stored
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files
from hoshikage.prompts import prompt_of

READY = Ready(window=8, allocated=8, trained=8, size=1, size_vram=0, bos="", eos="")
HI = (Message(role="user", content="hi"),)
JINJA = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"


def registered(tmp_path: Path, template: str | None, name: str = "m") -> Entry:
    registry = Registry(Files(tmp_path / "m", tmp_path / "c", tmp_path / "o", tmp_path))
    file = make_tiny(tmp_path / "tiny.gguf", chat_template=JINJA)
    return registry.register(name, Stored(path=str(file), template=template, system="S"), replace=True)


def test_a_go_template_comes_before_the_files_own_unless_it_is_switched_off(tmp_path: Path) -> None:
    entry = registered(tmp_path, "{{ .System }}|{{ .Prompt }}")
    assert prompt_of(entry, HI)(READY) == "S|hi"
    assert prompt_of(entry, HI, go=False)(READY) == "<system>S<user>hi"
    assert prompt_of(registered(tmp_path, None), HI)(READY) == "<system>S<user>hi"


def test_one_that_asks_for_too_much_is_named_and_the_files_own_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = registered(tmp_path, '{{ define "x" }}{{ end }}', "too-much")
    with caplog.at_level(logging.WARNING):
        assert prompt_of(entry, HI)(READY) == "<system>S<user>hi"
    assert "too-much: template error" in caplog.text
    assert "define" in caplog.text


def test_the_requests_template_comes_first_and_must_be_right(tmp_path: Path) -> None:
    entry = registered(tmp_path, "{{ .Prompt }}")
    assert prompt_of(entry, HI, template="[{{ .Prompt }}]")(READY) == "[hi]"
    with pytest.raises(TemplateFailed, match="nope"):
        prompt_of(entry, HI, template="{{ nope }}")
