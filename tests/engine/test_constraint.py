"""Constraints in the worker process with the starter model: what they allow, beside each other, and hostile ones."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hoshikage.constraints import Constraint
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.errors import ConstraintRefused
from hoshikage.sampling import SamplingOptions
from tests.engine.test_engine import ENDLESS, load, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "role": {"enum": ["cook", "pilot"]},
        "home": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 12}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "age", "role", "home", "tags"],
    "additionalProperties": False,
}
ARITHMETIC_GBNF = 'root ::= term (op term){1,3}\nop ::= "+" | "-"\nterm ::= [0-9]{1,3} | "(" term op term ")"\n'
ARITHMETIC_LARK = (
    'start: term (op term)~1..3\nop: "+" | "-"\nterm: NUMBER | "(" term op term ")"\nNUMBER: /[0-9]{1,3}/\n'
)
ARITHMETIC = re.compile(r"[0-9()+-]+")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(starter: Path) -> AsyncIterator[Engine]:
    started = await Engine.start(load(starter))
    yield started
    await started.close()


def ask(constraint: Constraint | None, *, prompt: str = "Answer: ", new: int = 200, **options: Any) -> wire.Generate:
    sampling = SamplingOptions(**{"temperature": 0.0, "seed": 1, **options})
    return wire.Generate(id=0, owner="a", prompt=prompt, sampling=sampling, max_tokens=new, constraint=constraint)


def schema(value: object, **more: Any) -> Constraint:
    return Constraint(kind="json_schema", source=json.dumps(value), **more)


SAMPLERS: list[dict[str, Any]] = [{}, {"temperature": 1.5, "seed": 7}, {"temperature": 1.0, "typical_p": 0.5}]


def is_person(found: Any) -> bool:
    home, tags = found["home"], found["tags"]
    return (
        list(found) == list(PERSON["properties"])
        and isinstance(found["name"], str)
        and 0 <= found["age"] <= 150
        and found["role"] in {"cook", "pilot"}
        and list(home) == ["city"]
        and 1 <= len(tags) <= 3
        and set(tags) <= {"a", "b"}
    )


@pytest.mark.parametrize("options", SAMPLERS)
async def test_a_schema_holds_down_to_its_last_brace(engine: Engine, options: dict[str, Any]) -> None:
    text, end = await said(engine, ask(schema(PERSON), **options))
    assert is_person(json.loads(text))
    assert end.reason == "stop"


@pytest.mark.parametrize("options", SAMPLERS)
async def test_json_is_an_object_while_there_is_room_for_it(engine: Engine, options: dict[str, Any]) -> None:
    """Any object may go on for ever; what was cut off must still be the beginning of one."""
    text, end = await said(engine, ask(Constraint(kind="json"), prompt='Say {"a": 1}. {"a": 1} {"a": 1} ', **options))
    assert text.startswith("{")
    if end.reason == "stop":
        assert isinstance(json.loads(text), dict)
    else:
        with pytest.raises(json.JSONDecodeError, match=r"Unterminated|Expecting|delimiter|Invalid"):
            json.loads(text)


@pytest.mark.parametrize("temperature", [0.0, 2.0])
async def test_a_regex_matches_whole(engine: Engine, temperature: float) -> None:
    constraint = Constraint(kind="regex", source=r"(19|20)\d\d-(0[1-9]|1[0-2])-[0-3]\d")
    text, end = await said(engine, ask(constraint, temperature=temperature))
    assert re.fullmatch(constraint.source, text)
    assert end.reason == "stop"


@pytest.mark.parametrize(("kind", "source"), [("gbnf", ARITHMETIC_GBNF), ("lark", ARITHMETIC_LARK)])
async def test_a_grammar_holds(engine: Engine, kind: Any, source: str) -> None:
    for seed in range(3):
        constraint = Constraint(kind=kind, source=source)
        text, end = await said(engine, ask(constraint, prompt="1+2=", temperature=1.0, seed=seed))
        assert ARITHMETIC.fullmatch(text)
        assert text.count("(") == text.count(")")
        assert end.reason == "stop"


async def test_the_end_is_allowed_exactly_where_the_grammar_ends(engine: Engine) -> None:
    text, end = await said(engine, ask(Constraint(kind="regex", source="a{3}"), new=-1, temperature=3.0))
    assert (text, end.reason) == ("aaa", "stop")


async def test_a_text_that_ends_with_its_last_allowed_token_is_not_cut(engine: Engine) -> None:
    constraint = Constraint(kind="regex", source="yes|no")
    text, end = await said(engine, ask(constraint, new=1))
    assert text in {"yes", "no"}
    assert end.reason == "stop"


async def test_after_the_trigger_the_grammar_holds(engine: Engine) -> None:
    call = {"type": "object", "properties": {"name": {"enum": ["f", "g"]}}, "required": ["name"]}
    constraint = schema({**call, "additionalProperties": False}, trigger="<tool_call>")
    text, end = await said(engine, ask(constraint, prompt="<tool_call>x</tool_call>\n" * 4, new=60))
    _, trigger, rest = text.partition("<tool_call>")
    assert trigger
    assert json.loads(rest)["name"] in {"f", "g"}
    assert end.reason == "stop"


async def test_before_the_trigger_text_is_free(engine: Engine) -> None:
    free, _ = await said(engine, ask(None, prompt=ENDLESS, new=16))
    waiting, _ = await said(engine, ask(schema(PERSON, trigger="<tool_call>"), prompt=ENDLESS, new=16))
    assert waiting == free


async def test_japanese_fits_into_strings(engine: Engine) -> None:
    constraint = Constraint(kind="regex", source='"東京は[ぁ-ん]{2,4}。"')
    text, _ = await said(engine, ask(constraint, temperature=1.0))
    assert re.fullmatch(constraint.source, text)
    name = {"type": "object", "properties": {"名前": {"const": "星影🌟"}}, "required": ["名前"]}
    assert json.loads((await said(engine, ask(schema({**name, "additionalProperties": False}))))[0]) == {
        "名前": "星影🌟"
    }


async def test_constraints_in_one_batch_keep_to_themselves(engine: Engine) -> None:
    date, person, free = await asyncio.gather(
        said(engine, ask(Constraint(kind="regex", source=r"(\d\d-){30}"), temperature=1.0)),
        said(engine, ask(schema(PERSON), temperature=1.0)),
        said(engine, ask(None, prompt=ENDLESS, new=40)),
    )
    assert re.fullmatch(r"(\d\d-){30}", date[0])
    assert is_person(json.loads(person[0]))
    assert "15" in free[0]


async def test_what_cannot_be_enforced_is_said_or_refused(engine: Engine) -> None:
    unique = {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2, "uniqueItems": True}
    async with aclosing(engine.generate(ask(schema(unique)))) as events:
        started = await anext(events)
    assert isinstance(started, wire.Started)
    assert started.warnings == ("schema-ignored=uniqueItems",)
    with pytest.raises(ConstraintRefused, match="uniqueItems"):
        await said(engine, ask(schema(unique, strict=True)))


def deep(levels: int) -> str:
    return '{"type":"object","properties":{"a":' * levels + '{"type":"string"}' + "}}" * levels


def chain(levels: int) -> str:
    defs = {f"a{i}": {"properties": {"x": {"$ref": f"#/$defs/a{i + 1}"}}} for i in range(levels)}
    return json.dumps({"$defs": {**defs, f"a{levels}": {}}, "$ref": "#/$defs/a0"})


def terminals(levels: int) -> str:
    return "start: A0\n" + "".join(f"A{i}: A{i + 1} A{i + 1}\n" for i in range(levels)) + f'A{levels}: "x"\n'


HOSTILE = {
    "a schema 20,000 deep": ("json_schema", deep(20_000), "262144 are allowed"),
    "a small schema 20,000 deep": ("json_schema", '{"not":' * 20_000 + "{}" + "}" * 20_000, "nested 20001 deep"),
    "a schema just too deep": ("json_schema", deep(50), "nested 101 deep"),
    "a schema of 1 MB": ("json_schema", json.dumps({"enum": ["x" * 1_000_000]}), "262144 are allowed"),
    "a chain of references": ("json_schema", chain(3000), "500 are allowed"),
    "a remote reference": ("json_schema", '{"$ref":"http://127.0.0.1:9/x.json"}', "does not fetch"),
    "a file reference": ("json_schema", '{"$ref":"file:///etc/passwd"}', "does not fetch"),
    "a reference to itself": ("json_schema", '{"$ref":"#"}', ""),
    "alternatives that multiply": (
        "json_schema",
        json.dumps({"allOf": [{"anyOf": [{"properties": {f"k{i}{j}": {}}} for j in "ab"]} for i in range(16)]}),
        "too",
    ),
    "no schema": ("json_schema", "123", "a JSON schema is an object"),
    "an unknown type": ("json_schema", '{"type":"hiccup"}', "hiccup"),
    "60,000 groups": ("regex", "(" * 60_000 + "x" + ")" * 60_000, "65536 are allowed"),
    "30,000 groups": ("regex", "(" * 30_000 + "x" + ")" * 30_000, "invalid regex"),
    "look-around": ("regex", "(?=a)b", "look-ahead"),
    "60,000 groups in a grammar": ("gbnf", "root ::= " + "(" * 60_000 + '"x"' + ")" * 60_000, "65536 are allowed"),
    "30,000 groups in a grammar": ("gbnf", "root ::= " + "(" * 30_000 + '"x"' + ")" * 30_000, "nested too deep"),
    "30,000 groups in Lark": ("lark", "start: " + "(" * 30_000 + '"x"' + ")" * 30_000, "too deeply nested"),
    "no grammar": ("gbnf", "root = x", "no GBNF grammar"),
    "a doubling of terminals": ("lark", terminals(2000), "over 64 levels"),
    "a doubling of a few": ("lark", terminals(60), "too big"),
    "a NUL": ("regex", "a\0b", "no text a NUL"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_constraints_are_refused_and_streams_go_on(engine: Engine, name: str) -> None:
    kind, source, reason = HOSTILE[name]
    pid = engine.pid
    stream = asyncio.ensure_future(said(engine, ask(None, prompt=ENDLESS, new=24)))
    with pytest.raises(ConstraintRefused, match=f"cannot be used: .*{re.escape(reason)}") as caught:
        await said(engine, ask(Constraint(kind=kind, source=source, field="format")))  # type: ignore[arg-type]
    assert caught.value.data["field"] == "format"
    assert (await stream)[1].completion_tokens == 24
    assert engine.pid == pid


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("json_schema", deep(49)),
        ("json_schema", chain(490)),
        ("json_schema", json.dumps({"enum": ["x" * 200_000]})),
        ("regex", "(" * 200 + "x" + ")" * 200),
        ("regex", "|".join(f"word{i}" for i in range(7000))),
        ("regex", "(x{1,1000}){1,100000}"),
        ("gbnf", "root ::= " + "(" * 100 + '"x"' + ")" * 100),
        ("lark", "start: r0\n" + "".join(f"r{i}: r{i + 1}\n" for i in range(5000)) + 'r5000: "x"\n'),
        ("lark", "start: A0\n" + "".join(f"A{i}: A{i + 1}\n" for i in range(60)) + 'A60: "x"\n'),
    ],
)
async def test_what_is_just_within_the_bounds_hurts_nobody(engine: Engine, kind: Any, source: str) -> None:
    """It may be generated or end with an error of its own; the worker lives."""
    pid = engine.pid
    end = (await said(engine, ask(Constraint(kind=kind, source=source), new=8)))[1]
    assert end.completion_tokens > 0
    assert (engine.pid, (await engine.statistics()).running) == (pid, 0)


async def test_a_request_cancelled_while_it_compiles_never_runs(engine: Engine) -> None:
    before = await engine.statistics()
    for i in range(5):
        wide = {"properties": {f"k{i}{j}": {"type": "string", "maxLength": j % 50 + 1} for j in range(300)}}
        asked = asyncio.ensure_future(said(engine, ask(schema(wide), new=-1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    await said(engine, ask(Constraint(kind="regex", source="after[0-9]"), new=8))
    after = await engine.statistics()
    assert (after.running, after.waiting) == (0, 0)
    assert after.tokens_sampled - before.tokens_sampled <= 8
