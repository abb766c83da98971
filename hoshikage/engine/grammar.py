"""Constraint -> matcher, by the list of grammars that llguidance reads. Knows no threads and no requests.

Refuses what llguidance's parsers would take too deep or too long.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from hoshikage.constraints import Constraint
from hoshikage.engine.guidance import Matcher, Vocabulary, gbnf_to_lark, regex_grammar
from hoshikage.errors import ConstraintRefused

REFS = 500
"""Different `$ref` targets: llguidance follows a chain of them by recursion, and 1,000 overflow a stack of 8 MB."""
GBNF_RULES = 500
"""The converter looks at all rules as often as there are rules."""
CHAIN = 64
"""Terminals that are made of terminals that are made of…: 500 levels take 6 seconds to be refused."""

WHITESPACE = r"[\x20\n\t]{1,20}"
"""Between the tokens of JSON: without an end to it, a small model may write nothing else."""
DEFINITION = re.compile(r'^[ \t]*[?!]?([A-Za-z_][\w-]*)[^\n:"/]*:(?!:)', re.MULTILINE)
NO_REFERENCE = re.compile(r'"(?:[^"\\\n]|\\.)*+"|//[^\n]*|/(?:[^/\\\n]|\\.)++/|#[^\n]*')
TERMINAL = re.compile(r"\b_?[A-Z][A-Z0-9_-]*\b")


def compiled(constraint: Constraint, vocabulary: Vocabulary) -> Matcher | ConstraintRefused:
    """The matcher with its first mask computed, or why there is none."""
    try:
        return exact(constraint, vocabulary)
    except ValueError as error:
        if constraint.kind != "json_schema" or constraint.strict:
            return constraint.refusal(str(error))
        ignored = "+".join(re.findall(r'"(\w+)"', str(error), re.ASCII)) or "format"
    try:
        matcher = exact(constraint, vocabulary, lenient=True)
    except ValueError as error:
        return constraint.refusal(str(error))
    matcher.warnings = (f"schema-ignored={ignored}",)
    return matcher


def exact(constraint: Constraint, vocabulary: Vocabulary, *, lenient: bool = False) -> Matcher:
    """Raises ValueError for what cannot be enforced, or, if `lenient`, cannot be read."""
    source = grammars(constraint, vocabulary.control, lenient=lenient)
    matcher = vocabulary.matcher("llguidance", source)
    matcher.warm()
    return matcher


def grammars(constraint: Constraint, control: dict[bytes, int], *, lenient: bool) -> str:
    """llguidance's list of grammars as JSON. Raises ValueError with what is wrong.

    `control` are the control tokens by their bytes, for a trigger that is one of them; `lenient` leaves out the
    keywords of a schema that llguidance does not know.
    """
    body = _body(constraint, lenient=lenient)
    if not constraint.trigger and not constraint.after:
        return json.dumps({"grammars": [body]})
    head = _after(*constraint.after, control) if constraint.after else _head(constraint.trigger, control)
    return json.dumps({"grammars": [{"lark_grammar": head}, {**body, "name": "body"}]})


def _head(trigger: str, control: dict[bytes, int]) -> str:
    """Free text up to the trigger, then the grammar named body. The lazy lexeme ends with the first trigger."""
    text = "TEXT: /(.|\\n)*/"
    if (token := control.get(trigger.encode("utf-8", "replace"))) is not None:
        return f"start: TEXT | TEXT <[{token}]> @body\n{text}"
    return f"start: TEXT | head @body\nhead[lazy]: TEXT {json.dumps(trigger)}\n{text}"


def _after(opening: str, closing: str, control: dict[bytes, int]) -> str:
    """A free part between two texts, which may be left out if it has not begun, then the grammar named body."""
    part = "free" if not opening else f"({_mark(opening, control)} free)?"
    if (token := control.get(closing.encode("utf-8", "replace"))) is not None:
        free = f"free: TEXT <[{token}]> BLANKS?"
    else:
        free = f"free: ended BLANKS?\nended[lazy]: TEXT {json.dumps(closing)}"
    return f"start: {part} @body\n{free}\nTEXT: /(.|\\n)*/\nBLANKS: /[ \\n]{{1,4}}/"


def _mark(text: str, control: dict[bytes, int]) -> str:
    token = control.get(text.encode("utf-8", "replace"))
    return json.dumps(text) if token is None else f"<[{token}]>"


def _body(constraint: Constraint, *, lenient: bool) -> dict[str, Any]:
    match constraint.kind:
        case "json":
            return {"json_schema": _with_options({"type": "object"}, lenient=lenient)}
        case "json_schema":
            return {"json_schema": _schema(constraint.source, lenient=lenient)}
        case "regex":
            return regex_grammar(constraint.source)
        case "gbnf":
            return {"lark_grammar": _checked(_converted(constraint.source))}
        case "lark":
            return {"lark_grammar": _checked(constraint.source)}


def _schema(source: str, *, lenient: bool) -> object:
    schema = json.loads(source)
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise ValueError("a JSON schema is an object")
    if (count := len(set(_refs(schema)))) > REFS:
        raise ValueError(f"it has {count} different $ref targets, {REFS} are allowed; write some of them in place")
    return _with_options(schema, lenient=lenient)


def _with_options(schema: dict[str, Any], *, lenient: bool) -> dict[str, Any]:
    options = {"whitespace_pattern": WHITESPACE, "lenient": lenient, "coerce_one_of": lenient}
    return {**schema, "x-guidance": options}


def _refs(schema: object) -> Iterator[str]:
    """Every `$ref`, without recursion."""
    todo = [schema]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if isinstance(ref := value.get("$ref"), str):
                yield ref
            todo += value.values()
        elif isinstance(value, list):
            todo += value


def _converted(gbnf: str) -> str:
    if (count := gbnf.count("::=")) > GBNF_RULES:
        raise ValueError(f"it has {count} rules, {GBNF_RULES} are allowed; write it in Lark")
    try:
        return str(gbnf_to_lark(gbnf))
    except RecursionError as error:
        raise ValueError("its groups are nested too deep; give inner ones a rule of their own") from error
    except Exception as error:  # the converter raises nothing narrower
        raise ValueError(f"no GBNF grammar: {error}") from error


def _checked(lark: str) -> str:
    """The grammar itself, if no chain of terminals is longer than CHAIN."""
    made_of = _terminals(lark)
    for _ in range(CHAIN):
        leaves = {name for name, used in made_of.items() if not used}
        if not leaves:
            break
        made_of = {name: used - leaves for name, used in made_of.items() if name not in leaves}
    if made_of:
        names = ", ".join(sorted(made_of)[:3])
        raise ValueError(f"terminals like {names} refer to each other over {CHAIN} levels, or in a circle; use rules")
    return lark


def _terminals(lark: str) -> dict[str, set[str]]:
    """Each terminal and the defined ones it is made of."""
    _, *parts = DEFINITION.split(NO_REFERENCE.sub('""', lark))
    found: dict[str, set[str]] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if TERMINAL.fullmatch(name):
            found.setdefault(name, set()).update(TERMINAL.findall(body))
    return {name: used & found.keys() for name, used in found.items()}
