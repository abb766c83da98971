"""Modelfiles: the grammar of Ollama's, read and written. Knows no registry, no HTTP, and opens no file.

Kinder than Ollama's: U+3000 and emoji joiners stay in values, CRLF counts as one line, several blanks may follow
PARAMETER and MESSAGE, and a whole number with an exponent is an int, since `/api/show` prints large ones so.
"""

import codecs
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from msgspec import Struct, field

from hoshikage.conversation import Message
from hoshikage.errors import BadModelfile
from hoshikage.models import go
from hoshikage.models.parameters import DEPRECATED, typed

T = TypeVar("T")

INSTRUCTIONS = tuple("from license template system adapter draft renderer parser parameter message requires".split())
ROLES = ("system", "user", "assistant")
MANY = '"""'
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_WORD = re.compile(r"[^ \t\r\n]*")
_BLANKS = re.compile(r"[^\S\r\n]*")
_LINE_END = re.compile(r"\r\n|\r|\n|\Z")
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PATCH = rf"\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_VERSION = re.compile(rf"v?({_NUMBER}(?:\.{_NUMBER}(?:{_PATCH})?)?)")


class Modelfile(Struct, frozen=True, kw_only=True):
    """What a Modelfile asks for; None where it says nothing.

    `from_`, `adapters` and `drafts` are paths or names as typed. `parameters` have the types of Ollama's options,
    `stop` is a list. `warnings` name what was left out.
    """

    from_: tuple[str, ...]
    parameters: dict[str, object] = field(default_factory=dict)
    template: str | None = None
    system: str | None = None
    adapters: tuple[str, ...] = ()
    drafts: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    warnings: tuple[str, ...] = ()


class Command(NamedTuple):
    """One instruction: its name in lower case, the name or role after PARAMETER or MESSAGE, and the value."""

    name: str
    word: str
    value: str


def parse(data: bytes | str) -> Modelfile:
    """The Modelfile in UTF-8, or in UTF-16 behind a byte order mark. Raises BadModelfile with Ollama's words."""
    commands = list(read(decoded(data)))
    values: dict[str, list[str]] = defaultdict(list)
    for command in commands:
        values[command.name].append(command.value)
    if not values["from"]:
        raise BadModelfile(reason="no FROM line")
    given, warnings = parameters([(each.word, each.value) for each in commands if each.name == "parameter"])
    return Modelfile(
        from_=tuple(values["from"]),
        parameters=given,
        template=last(values["template"]),
        system=last(values["system"]),
        adapters=tuple(values["adapter"][-1:]),
        drafts=tuple(values["draft"]),
        licenses=tuple(values["license"]),
        messages=tuple(Message(role=each.word, content=each.value) for each in commands if each.name == "message"),
        renderer=last(values["renderer"]),
        parser=last(values["parser"]),
        requires=last([version(value) for value in values["requires"]]),
        warnings=warnings,
    )


def decoded(data: bytes | str) -> str:
    """The text without byte order mark and control characters; bytes that are no text become U+FFFD."""
    if isinstance(data, bytes):
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        data = data.decode("utf-16" if wide else "utf-8", "replace")
    return "".join(filter(kept, data.removeprefix("\ufeff")))


def kept(letter: str) -> bool:
    return letter.isprintable() or letter in "\t\r\n" or unicodedata.category(letter) in {"Zs", "Cf"}


def read(text: str) -> Iterator[Command]:
    """The instructions in order. Raises BadModelfile."""
    at = found(_BETWEEN, text, 0).end()
    while at < len(text):
        word = found(_WORD, text, at)
        name = word[0].lower()
        check_instruction(name, text, word)
        argument = ""
        at = found(_BLANKS, text, word.end()).end()
        if name in {"parameter", "message"}:
            argument, at = argued(name, text, at)
        value, at = valued(text, at)
        yield Command(name, argument, value)
        at = found(_BETWEEN, text, at).end()


def check_instruction(name: str, text: str, word: re.Match[str]) -> None:
    if name in INSTRUCTIONS and word.end() == len(text):
        raise BadModelfile(reason="unexpected EOF")
    if name not in INSTRUCTIONS or text[word.end()] not in " \t":
        raise at_line(text, word.start(), f"command must be one of {choice(INSTRUCTIONS)}")


def argued(name: str, text: str, at: int) -> tuple[str, int]:
    """The word after PARAMETER or MESSAGE, and where its value starts."""
    word = found(_WORD, text, at)
    if text[word.end() : word.end() + 1] not in {" ", "\t"}:
        raise BadModelfile(reason=f"unexpected EOF: {word[0]}" if word.end() < len(text) else "unexpected EOF")
    if name == "message" and word[0] not in ROLES:
        raise at_line(text, at, f"message role must be one of {choice(ROLES)}")
    return word[0], found(_BLANKS, text, word.end()).end()


def valued(text: str, start: int) -> tuple[str, int]:
    """The value at `start` and where it ends: with the line, or with the first line at whose end its quote closes."""
    line, end = start, found_end(text, start)
    quote = opening(text[start:end])
    while quote:
        close = line + len(text[line:end].rstrip())
        if close - start >= 2 * len(quote) and text[line:close].endswith(quote):
            return text[start + len(quote) : close - len(quote)], end
        if end == len(text):
            raise BadModelfile(reason="unexpected EOF")
        line = end + 1
        end = found_end(text, line)
    return text[start:end].strip(), end


def opening(line: str) -> str:
    return MANY if line.startswith(MANY) else line[:1] if line.startswith('"') else ""


def found(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    match = pattern.match(text, at)
    assert match is not None  # noqa: S101  each of these patterns matches nothing, too
    return match


def found_end(text: str, at: int) -> int:
    match = _LINE_END.search(text, at)
    return match.start() if match else len(text)


def at_line(text: str, at: int, reason: str) -> BadModelfile:
    line = 1 + sum(1 for each in _LINE_END.finditer(text, 0, at) if each[0])
    return BadModelfile(reason=f"(line {line}): {reason}")


def choice(names: tuple[str, ...]) -> str:
    *first, end = (f'"{name}"' for name in names)
    return f"{', '.join(first)}, or {end}"


def parameters(pairs: list[tuple[str, str]]) -> tuple[dict[str, object], tuple[str, ...]]:
    """The parameters by their types, and warnings about the deprecated ones. Raises BadModelfile."""
    given: dict[str, object] = {}
    warnings = []
    for name, text in pairs:
        if name in DEPRECATED:
            warnings.append(f"parameter {name} is deprecated")
            continue
        value, before = typed(name, text), given.get(name)
        given[name] = before + value if isinstance(value, list) and isinstance(before, list) else value
    return given, tuple(warnings)


def version(text: str) -> str:
    """A semantic version without the v; Go's short ones, 1 and 1.2, count. Raises BadModelfile."""
    match = _VERSION.fullmatch(text)
    if not match:
        raise BadModelfile(reason="requires must be a valid semver (e.g. 0.14.0)")
    return match[1]


def last(values: list[T]) -> T | None:
    return values[-1] if values else None


def text(modelfile: Modelfile, *, as_go: bool = False) -> str:
    """The Modelfile as text, in the order of `/api/show`; `as_go` writes numbers as Go does there: 1.048576e+06.

    `parse` gives back the same, but for what the grammar cannot carry: control, unassigned and private characters,
    U+2028 and U+2029; a value that needs quotes and has a line, not its last, ending in triple quotes; a FROM with line
    ends, blanks around it or a quote in front, since FROM is never quoted; all adapters but the last; `warnings`.
    """
    lines = (
        ("FROM", modelfile.from_[:1]),
        ("ADAPTER", quotes(*modelfile.adapters)),
        ("DRAFT", quotes(*modelfile.drafts)),
        ("FROM", modelfile.from_[1:]),
        ("TEMPLATE", quotes(modelfile.template)),
        ("SYSTEM", quotes(modelfile.system)),
        ("RENDERER", quotes(modelfile.renderer)),
        ("PARSER", quotes(modelfile.parser)),
        ("REQUIRES", quotes(modelfile.requires)),
        ("PARAMETER", [f"{name} {plain(value, as_go=as_go)}" for name, value in flat(modelfile.parameters)]),
        ("LICENSE", quotes(*modelfile.licenses)),
        ("MESSAGE", [f"{message.role} {quote(message.content)}" for message in modelfile.messages]),
    )
    return "".join(f"{name} {value}\n" for name, values in lines for value in values)


def shown(modelfile: Modelfile, name: str) -> str:
    """The `modelfile` of `/api/show` for the model of this short name."""
    heading = (
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {name}",
        "",
    )
    return "\n".join(heading) + "\n" + text(modelfile, as_go=True)


def listed(parameters: Mapping[str, object]) -> str:
    """The `parameters` of `/api/show`: a line for each value, the name padded to 30, the value in Go's syntax."""
    rows = flat(parameters)
    return "\n".join(f"{name:<30} {go.quoted(each) if isinstance(each, str) else plain(each)}" for name, each in rows)


def flat(parameters: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The parameters, each element of a list by itself."""
    for name, value in parameters.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            yield name, each


def plain(value: object, *, as_go: bool = True) -> str:
    """A parameter's value; a text is quoted where the grammar needs it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) or (isinstance(value, int) and as_go and abs(value) < go.FLOAT64_BEYOND):
        return go.number(value)
    return quote(str(value))


def quotes(*values: str | None) -> list[str]:
    return [quote(value) for value in values if value is not None]


def quote(value: str) -> str:
    """In quotes if it has line ends or blanks around it, or starts with a quote; in triple ones if it has quotes."""
    if value == value.strip() and not value.startswith('"') and "\n" not in value and "\r" not in value:
        return value
    return f"{MANY}{value}{MANY}" if '"' in value else f'"{value}"'
