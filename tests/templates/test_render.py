"""Chat templates in the sandbox."""

import pytest

from hoshikage.conversation import Message
from hoshikage.errors import TemplateFailed
from hoshikage.templates.render import render, wants_parts

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HELLO = [Message(role="user", content="こんにちは")]


def rendered(template: str, messages: list[Message] = HELLO) -> str:
    return render(template, messages, bos="<s>", eos="</s>")


def test_a_chat_is_rendered_with_the_turn_that_is_asked_for() -> None:
    assert rendered(CHATML) == "<|im_start|>user\nこんにちは<|im_end|>\n<|im_start|>assistant\n"


def test_text_that_looks_like_a_template_stays_text() -> None:
    message = Message(role="user", content="{{7*7}} ${TMPDIR:-${TEMP}}")
    assert "{{7*7}} ${TMPDIR:-${TEMP}}" in rendered(CHATML, [message])


def test_bos_and_eos_are_the_models() -> None:
    assert rendered("{{ bos_token }}|{{ eos_token }}") == "<s>|</s>"


def test_json_keeps_japanese() -> None:
    assert rendered("{{ {'名': 1} | tojson }}") == '{"名": 1}'


def test_a_template_may_refuse_with_its_own_words() -> None:
    with pytest.raises(TemplateFailed, match="roles must alternate"):
        rendered("{{ raise_exception('roles must alternate') }}")


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(TemplateFailed, match="line 2"):
        rendered("a\n{% if %}")


@pytest.mark.parametrize(
    "attack",
    [
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ (messages | attr('__class__')).__base__ }}",
        "{{ messages.append(1) }}",
        "{{ range(10**9) | list }}",
    ],
)
def test_a_hostile_template_is_refused(attack: str) -> None:
    with pytest.raises(TemplateFailed):
        rendered(attack)


PARTS = (
    "{% for m in messages %}{{ m.role }}:{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type == 'image' %}<image>{% endif %}{% endfor %};{% endfor %}"
)


def test_a_template_that_wants_typed_parts_gets_them() -> None:
    assert wants_parts(PARTS)
    assert render(PARTS, [Message(role="user", content="[img-0]Hi")], bos="", eos="") == "user:[img-0]Hi;"


def test_a_template_that_takes_texts_gets_texts() -> None:
    either = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}no{% endif %}{% endfor %}"
    assert not wants_parts(either)
    assert render(either, [Message(role="user", content="Hi")], bos="", eos="") == "Hi"


def test_a_template_that_fails_wants_no_parts() -> None:
    assert not wants_parts("{{ raise_exception('never') }}")
    assert not wants_parts("nothing")
