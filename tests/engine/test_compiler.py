"""The compiler beside the reader: once each, bounded in time, deaf to what was cancelled; and masks in this process."""

import ctypes
import threading
from queue import SimpleQueue

import numpy as np
import pytest

from hoshikage.constraints import Constraint
from hoshikage.engine import constraint as module
from hoshikage.engine.constraint import Compile, Compiler, Result
from hoshikage.engine.grammar import compiled
from hoshikage.engine.guidance import QUICK, Limits, Matcher, MatcherInit, Vocabulary
from hoshikage.errors import SequenceFailed

TEXTS = [b"<end>", b"<stop>", b"<call>", *(bytes([byte]) for byte in range(256)), b"abc", b'{"', b"<c", b"all>"]
ENDS = (0, 1)
DIGITS = Constraint(kind="regex", source="[0-9]{2}")


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """Every byte, a few longer tokens, three control tokens."""
    return Vocabulary(TEXTS, control=[0, 1, 2], ends=ENDS)


@pytest.fixture(scope="module")
def compile_(vocabulary: Vocabulary) -> Compile:
    return lambda constraint: compiled(constraint, vocabulary)


def matcher(constraint: Constraint, vocabulary: Vocabulary) -> Matcher:
    found = compiled(constraint, vocabulary)
    assert isinstance(found, Matcher), found
    return found


def allowed(matcher: Matcher) -> list[bytes]:
    bits = np.unpackbits(matcher.mask().view(np.uint8), count=len(TEXTS), bitorder="little")
    return [text for text, bit in zip(TEXTS, bits, strict=True) if bit]


def spell(matcher: Matcher, text: bytes) -> None:
    for byte in text:
        matcher.accept(TEXTS.index(bytes([byte])))


def results(compiler: Compiler, *constraints: Constraint) -> list[Result]:
    found: SimpleQueue[Result] = SimpleQueue()
    for number, constraint in enumerate(constraints):
        compiler.submit(number, constraint, found.put)
    return [found.get(timeout=30) for _ in constraints]


def test_the_limits_lie_where_llguidance_has_them() -> None:
    init = MatcherInit()
    QUICK.llg_constraint_init_set_defaults(ctypes.byref(init), None)
    values = [getattr(init.limits, name) for name, _ in Limits._fields_]
    assert values == [2000, 1_000_000, 200_000, 50_000, 250_000, 500_000, True, True]


def test_every_end_is_allowed_where_the_text_may_end_and_nowhere_else(vocabulary: Vocabulary) -> None:
    digits = matcher(Constraint(kind="regex", source="[0-9]{1,2}"), vocabulary)
    assert allowed(digits) == [b"%d" % digit for digit in range(10)]
    spell(digits, b"1")
    assert allowed(digits) == [b"<end>", b"<stop>", *(b"%d" % digit for digit in range(10))]
    assert not digits.complete
    spell(digits, b"2")
    assert allowed(digits) == [b"<end>", b"<stop>"]
    assert digits.complete


def test_a_forbidden_token_ends_the_sequence_only(vocabulary: Vocabulary) -> None:
    digits = matcher(DIGITS, vocabulary)
    twin = digits.copy()
    with pytest.raises(SequenceFailed, match="the constraint cannot go on"):
        spell(digits, b"x")
    spell(twin, b"12")
    assert twin.complete


@pytest.mark.parametrize("trigger", ["<tool>", "<call>"])
def test_a_trigger_may_be_text_or_a_control_token(vocabulary: Vocabulary, trigger: str) -> None:
    waiting = matcher(Constraint(kind="regex", source="[0-9]{2}", trigger=trigger), vocabulary)
    spell(waiting, "日本 <to ".encode())
    assert {b"<end>", b"x", b"abc"} <= set(allowed(waiting))
    if trigger.encode() in TEXTS:
        waiting.accept(TEXTS.index(trigger.encode()))
    else:
        spell(waiting, trigger.encode())
    assert allowed(waiting) == [b"%d" % digit for digit in range(10)]
    spell(waiting, b"42")
    assert waiting.complete


def test_whitespace_in_json_comes_to_an_end(vocabulary: Vocabulary) -> None:
    anything = matcher(Constraint(kind="json"), vocabulary)
    spell(anything, b"{" + b" \n" * 10)
    assert set(allowed(anything)) == {b'"', b"}"}


@pytest.mark.parametrize("kind", ["json_schema", "lark"])
def test_the_trigger_goes_with_every_kind(vocabulary: Vocabulary, kind: str) -> None:
    source = {"json_schema": '{"const":7}', "lark": "start: /7/"}[kind]
    seven = matcher(Constraint(kind=kind, source=source, trigger='"\\x'), vocabulary)  # type: ignore[arg-type]
    spell(seven, b'so "\\x7')
    assert seven.complete


def test_the_same_constraint_is_compiled_once(compile_: Compile) -> None:
    compiler = Compiler(lambda: compile_)
    same = Constraint(kind="regex", source="[0-9]{2}", field="another name")
    for found in (*results(compiler, DIGITS, DIGITS), *results(compiler, same)):
        assert isinstance(found, Matcher)
        spell(found, b"12")
        assert found.complete
    assert compiler.compiled == 1


def test_so_many_are_kept_and_no_more(compile_: Compile) -> None:
    compiler = Compiler(lambda: compile_)
    many = [Constraint(kind="regex", source=f"a{number}") for number in range(module.KEPT + 1)]
    results(compiler, *many)
    results(compiler, many[-1])
    assert compiler.compiled == module.KEPT + 1
    results(compiler, many[0])
    assert compiler.compiled == module.KEPT + 2


def test_what_takes_too_long_is_given_up_and_others_go_on(compile_: Compile) -> None:
    """Two that never end are given up; a third is refused at once; what is kept already is still had."""
    release = threading.Event()

    def slow(constraint: Constraint) -> Result:
        if constraint.source.startswith("slow"):
            release.wait()
        return compile_(constraint)

    compiler = Compiler(lambda: slow, seconds=0.5)
    results(compiler, DIGITS)
    found = results(compiler, *(Constraint(kind="regex", source=f"slow{number}") for number in range(3)))
    release.set()
    assert [str(each).partition(": ")[2][:10] for each in found] == ["it takes o", "it takes o", "others tha"]
    assert isinstance(results(compiler, DIGITS)[0], Matcher)


def test_a_cancelled_one_is_never_delivered(compile_: Compile) -> None:
    started, release = threading.Event(), threading.Event()

    def slow(constraint: Constraint) -> Result:
        started.set()
        release.wait()
        return compile_(constraint)

    compiler = Compiler(lambda: slow)
    found: SimpleQueue[Result] = SimpleQueue()
    compiler.submit(1, DIGITS, found.put)
    started.wait()
    compiler.submit(2, Constraint(kind="regex", source="x"), found.put)
    compiler.cancel(1)
    compiler.cancel(2)
    release.set()
    compiler.submit(3, DIGITS, found.put)
    assert isinstance(found.get(timeout=30), Matcher)
    assert found.empty()
    assert compiler.compiled == 1


def test_a_vocabulary_without_an_end_refuses_constraints() -> None:
    def prepare() -> Compile:
        vocabulary = Vocabulary([b"a"], control=[], ends=[])
        return lambda constraint: compiled(constraint, vocabulary)

    assert "no token that ends a text" in str(results(Compiler(prepare), DIGITS)[0])
