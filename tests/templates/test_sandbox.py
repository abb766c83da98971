"""Jinja templates that loop or explode fail, with a reason; those that real models have are not disturbed."""

import pytest

from hoshikage.conversation import Message
from hoshikage.errors import TemplateFailed
from hoshikage.templates.render import render

ASKED = [Message(role="user", content="a b")]
DOUBLE = "{% set ns = namespace(x='a' * 1000, l=[0]) %}"


def made(template: str) -> str:
    return render(template, ASKED, bos="<s>", eos="</s>")


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
        "{{ 'a' * 10000000000 }}",
        "{{ [0] * 10000000000 }}",
        "{{ 10000000000 * 'a' }}",
        "{{ 10 ** 10000000000 }}",
        DOUBLE + "{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        DOUBLE + "{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        DOUBLE + "{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        DOUBLE + "{% for i in range(99) %}{% set ns.x = ns.x|replace('a', ns.x) %}{% endfor %}",
        DOUBLE + "{% for i in range(99) %}{% set ns.x = ns.x.replace('a', ns.x) %}{% endfor %}",
        DOUBLE + "{% for i in range(99) %}{% set ns.x = ns.x.join(ns.x) %}{% endfor %}",
        DOUBLE + "{% for i in range(99) %}{% set ns.x = ns.x|join(ns.x) %}{% endfor %}",
        "{{ 'a'|center(10000000000) }}",
        "{{ 'a'.zfill(10000000000) }}",
        "{{ 'a\nb'|indent(10000000000) }}",
        "{{ '%10000000000d' % 1 }}",
        "{{ '%*d' % (10000000000, 1) }}",
        "{{ '%10000000000d'|format(1) }}",
        "{{ '{:10000000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 10000000000) }}",
        "{{ [1]|batch(10000000000, 0)|list }}",
        "{{ messages|tojson(indent=10000000000) }}",
        "{{ lipsum(n=99999) }}",
        "{% for i in range(10000000000) %}{% endfor %}",
    ],
)
def test_a_template_that_explodes_fails(template: str) -> None:
    with pytest.raises(TemplateFailed):
        made(template)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% for m in messages %}{{ loop.index0 ~ m.role + ':' }}{{ m.content }}{% endfor %}", "0user:a b"),
        ("{% macro m(x, y='z') %}{{ x ~ y }}{% endmacro %}{{ m(1) }}{{ m(2, y=3) }}", "1z23"),
        ("{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}in{% endcall %}", "[in]"),
        ("{{ '%s-%05.1f' % ('a', 2) }}{{ '%d'|format(3) }}{{ '{:>3}'.format('x') }}", "a-002.03  x"),
        ("{{ ', '.join(['a', 'b']) }}{{ ['a', 'b']|join('+') }}{{ 'x'|center(3) }}", "a, ba+b x "),
        ("{{ 'a</t>b'.split('</t>')[-1].replace('b', 'cc')|indent(2) }}{{ 7 % 4 + 2 ** 3 * 2 }}", "cc19"),
        (
            "{% for x in [1, 2, 3] if x != 2 %}{{ x }}{% else %}none{% endfor %}{{ messages|tojson(indent=1)|length }}",
            "1346",
        ),
        ("{% for x in [[1, [2]], 3] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}", "123"),
        ("{% set x %}a{{ '-' ~ bos_token }}{% endset %}{{ x ~ none }}", "a-<s>None"),
    ],
)
def test_what_real_templates_do_is_as_before(template: str, text: str) -> None:
    assert made(template) == text
