"""The Modelfile grammar: what is read, what is refused in Ollama's words, and that what is printed is read again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.conversation import Message
from hoshikage.errors import BadModelfile
from hoshikage.models.go import float32
from hoshikage.models.modelfile import Modelfile, kept, parse, text
from hoshikage.models.parameters import KINDS

COMMANDS = (
    'command must be one of "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", '
    '"parameter", "message", or "requires"'
)


def test_every_instruction_is_read_in_any_order() -> None:
    found = parse(
        "# a comment\n  SYSTEM You are brief.\nfrom ./a.gguf\nPARAMETER temperature 0.7\n"
        "Template {{ .Prompt }}\nADAPTER ./old.gguf\nADAPTER ./lora.gguf\nDRAFT ./small.gguf\nLICENSE MIT\n"
        "LICENSE Apache-2.0\nMESSAGE user hi\nMESSAGE assistant hello there\nRENDERER gemma4\nPARSER gemma4\n"
        "REQUIRES v0.14.0\nFROM ./b.gguf"
    )
    assert found == Modelfile(
        from_=("./a.gguf", "./b.gguf"),
        parameters={"temperature": 0.7},
        template="{{ .Prompt }}",
        system="You are brief.",
        adapters=("./lora.gguf",),
        drafts=("./small.gguf",),
        licenses=("MIT", "Apache-2.0"),
        messages=(Message(role="user", content="hi"), Message(role="assistant", content="hello there")),
        renderer="gemma4",
        parser="gemma4",
        requires="0.14.0",
    )


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("plain words", "plain words"),
        ("  blanks around\t", "blanks around"),
        ('"in quotes "', "in quotes "),
        ("'single'", "'single'"),
        ('"two\nlines"', "two\nlines"),
        ('"""\nsay "hi"\n"""', '\nsay "hi"\n'),
        ('"""one line"""  ', "one line"),
        ('"ends" later"', 'ends" later'),
        ('""""quoted"\n"""', '"quoted"\n'),
        ('"crlf\r\nkept"', "crlf\r\nkept"),
        ('""', ""),
        ("", ""),
        ("a # is no comment here", "a # is no comment here"),
        (r"no \n escapes", r"no \n escapes"),
        ("bell\x07 and nul\x00", "bell and nul"),
        ("全角　の空白、👨‍👩‍👧", "全角　の空白、👨‍👩‍👧"),
        ('"a\n# no comment\nFROM y"', "a\n# no comment\nFROM y"),
        ('　"after a wide blank"', "after a wide blank"),
    ],
)
def test_a_value_runs_to_the_end_of_line_or_of_its_quotes(written: str, value: str) -> None:
    assert parse(f"FROM x\nSYSTEM {written}\n# end").system == value
    assert parse(f"FROM x\r\nSYSTEM {written}").system == value


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("BAD x", f"(line 2): {COMMANDS}"),
        ("BAD", f"(line 2): {COMMANDS}"),
        ("SYSTEM\n", f"(line 2): {COMMANDS}"),
        ("\n\r\n# FROM y\nSYS-TEM x", f"(line 5): {COMMANDS}"),
        ('SYSTEM "no end', "unexpected EOF"),
        ('SYSTEM """no end\n"', "unexpected EOF"),
        ('SYSTEM """""', "unexpected EOF"),
        ("SYSTEM", "unexpected EOF"),
        ("PARAMETER temperature", "unexpected EOF"),
        ("PARAMETER temperature\n", "unexpected EOF: temperature"),
        ("MESSAGE user", "unexpected EOF"),
        ("MESSAGE User hi", '(line 2): message role must be one of "system", "user", or "assistant"'),
        ("MESSAGE tool hi", '(line 2): message role must be one of "system", "user", or "assistant"'),
        ("PARAMETER top 1", "unknown parameter 'top'"),
        ("PARAMETER Top_k 1", "unknown parameter 'Top_k'"),
        ("PARAMETER top_k 4.5", "invalid int value [4.5]"),
        ("PARAMETER top_k", "unexpected EOF"),
        ("PARAMETER top_k ", "invalid int value []"),
        ("PARAMETER seed 9223372036854775808", "invalid int value [9223372036854775808]"),
        ("PARAMETER seed 1e30", "invalid int value [1e30]"),
        ("PARAMETER seed ５", "invalid int value [５]"),
        ("PARAMETER top_p hot", "invalid float value [hot]"),
        ("PARAMETER top_p nan", "invalid float value [nan]"),
        ("PARAMETER top_p 1e39", "invalid float value [1e39]"),
        ("PARAMETER use_mmap yes", "invalid bool value [yes]"),
        ("REQUIRES new", "requires must be a valid semver (e.g. 0.14.0)"),
        ("REQUIRES 01.2.3", "requires must be a valid semver (e.g. 0.14.0)"),
        ("REQUIRES 1.2.3-01", "requires must be a valid semver (e.g. 0.14.0)"),
    ],
)
def test_what_breaks_the_grammar_is_refused_in_ollamas_words(line: str, reason: str) -> None:
    with pytest.raises(BadModelfile) as caught:
        parse(f"FROM x\n{line}")
    assert str(caught.value) == reason
    assert caught.value.text("ja") == f"Modelfile に誤りがあります: {reason}"


@pytest.mark.parametrize("written", ["", "# FROM x", "SYSTEM hi\n", b"\xef\xbb\xbf"])
def test_a_modelfile_needs_a_from(written: str | bytes) -> None:
    with pytest.raises(BadModelfile, match="no FROM line"):
        parse(written)


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("num_ctx", "4096", 4096),
        ("num_ctx", "1.048576e+06", 1048576),
        ("seed", "-1", -1),
        ("main_gpu", "+1", 1),
        ("temperature", ".5", 0.5),
        ("temperature", "1", 1.0),
        ("min_p", "0.123456789", 0.12345679),
        ("use_mmap", "F", False),
        ("use_mmap", "true", True),
        ("stop", '"<|im_end|>"', ["<|im_end|>"]),
        ("stop", "User: \t", ["User:"]),
    ],
)
def test_a_parameter_has_its_options_type(name: str, written: str, value: object) -> None:
    found = parse(f"FROM x\nPARAMETER  {name}  {written}").parameters
    assert found == {name: value}
    assert type(found[name]) is type(value)


def test_stop_accumulates_and_other_parameters_are_replaced() -> None:
    found = parse("FROM x\nPARAMETER stop a\nPARAMETER top_k 1\nPARAMETER stop b\nPARAMETER top_k 2")
    assert found.parameters == {"stop": ["a", "b"], "top_k": 2}


def test_deprecated_parameters_are_left_out_with_a_warning() -> None:
    found = parse("FROM x\nPARAMETER mirostat yes\nPARAMETER low_vram true")
    assert found.parameters == {}
    assert found.warnings == ("parameter mirostat is deprecated", "parameter low_vram is deprecated")


@pytest.mark.parametrize("version", ["1", "v1.2", "0.14.0", "1.2.3-rc.1+build.05", "1.0.0--", "10.20.30"])
def test_a_requirement_is_a_semantic_version_of_go(version: str) -> None:
    assert parse(f"FROM x\nREQUIRES {version}").requires == version.removeprefix("v")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_encoding_is_read(encoding: str) -> None:
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    data = f'{mark}FROM モデル\nSYSTEM """星影\nです"""\n'.encode(encoding)
    assert parse(data) == Modelfile(from_=("モデル",), system="星影\nです")


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert parse(b"FROM x\nSYSTEM a\xffb").system == "a\ufffdb"


def carried(value: str) -> bool:
    """Whether no line of it but the last ends in triple quotes, which would end the value there."""
    return not re.search(r'"""\s*[\r\n]', value)


LETTERS = st.sampled_from(" \t\n\r\"#'\\a影　é👨‍") | st.characters(exclude_categories=["Cs"]).filter(kept)
VALUES = st.text(LETTERS, max_size=20).filter(carried)
PLACES = VALUES.filter(lambda value: value == value.strip() and not re.search(r'[\r\n]|^"', value))
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
OF_KIND = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": FLOATS.map(float32),
    "bool": st.booleans(),
    "list": st.lists(VALUES, min_size=1, max_size=3),
}
MODELFILES = st.builds(
    Modelfile,
    from_=st.lists(PLACES, min_size=1, max_size=2).map(tuple),
    parameters=st.fixed_dictionaries({}, optional={name: OF_KIND[kind] for name, kind in KINDS.items()}),
    template=st.none() | VALUES,
    system=st.none() | VALUES,
    adapters=st.lists(VALUES, max_size=1).map(tuple),
    drafts=st.lists(VALUES, max_size=2).map(tuple),
    licenses=st.lists(VALUES, max_size=2).map(tuple),
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=VALUES), max_size=2
    ).map(tuple),
    renderer=st.none() | VALUES,
    parser=st.none() | VALUES,
    requires=st.sampled_from([None, "0.14.0", "1"]),
)


@given(MODELFILES)
def test_what_is_printed_is_read_again_as_the_same(modelfile: Modelfile) -> None:
    assert parse(text(modelfile)) == modelfile
    assert parse("\ufeff" + text(modelfile)) == modelfile


WORDS = st.sampled_from(["FROM x\n", "SYSTEM ", "PARAMETER ", "stop ", "MESSAGE ", "user ", '"""', "\n"])


@given(st.lists(WORDS | LETTERS))
def test_any_text_is_read_or_refused(written: list[str]) -> None:
    try:
        found = parse("".join(written))
    except BadModelfile:
        return
    assert found.from_


def test_a_long_licence_is_read_in_one_pass() -> None:
    lines = "All rights reserved, none granted.\n" * 50_000
    assert parse(f'FROM x\nLICENSE """{lines}"""').licenses == (lines,)
