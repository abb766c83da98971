"""Go durations and keep_alive."""

import math

import pytest

from hoshikage.durations import keep_alive_seconds, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("1.5h", 5400), ("0", 0), ("-5m", -300), ("250ms", 0.25), (".5s", 0.5), ("5m0s", 300)],
)
def test_a_go_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("1h 30m", 'time: unknown unit "h " in duration "1h 30m"'),
        ("1.5.5s", 'time: missing unit in duration "1.5.5s"'),
        ('a"b', r'time: invalid duration "a\"b"'),
        ("5分", r'time: unknown unit "\xe5\x88\x86" in duration "5\xe5\x88\x86"'),
        ("５s", r'time: invalid duration "\xef\xbc\x95s"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_a_bad_duration_gets_gos_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="time") as caught:
        parse_duration(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "seconds"), [(300, 300), (0.5, 0.5), (-1, math.inf), ("10m", 600), ("-1s", math.inf), (0, 0), ("0", 0)]
)
def test_keep_alive_is_seconds_or_a_duration(value: object, seconds: float) -> None:
    assert keep_alive_seconds(value) == seconds


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e300])
def test_a_keep_alive_beyond_gos_292_years_is_for_ever(value: object) -> None:
    assert keep_alive_seconds(value) == math.inf


@pytest.mark.parametrize(("value", "name"), [(True, "bool"), ([], "[]interface {}"), ({}, "map[string]interface {}")])
def test_another_type_is_named_as_go_names_it(value: object, name: str) -> None:
    with pytest.raises(ValueError, match="Unsupported type") as caught:
        keep_alive_seconds(value)
    assert str(caught.value) == f"Unsupported type: '{name}'"
