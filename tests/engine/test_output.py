"""Bytes to text: whole characters, stop strings over borders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.engine.output import TextOutput


def said(data: bytes, stops: tuple[str, ...], size: int) -> tuple[str, bool]:
    output = TextOutput(stops)
    text = "".join(output.feed(data[i : i + size]) for i in range(0, len(data), size))
    return text + output.flush(), output.stopped


@given(st.text(), st.integers(1, 5))
def test_any_cut_of_the_bytes_gives_the_same_text(text: str, size: int) -> None:
    assert said(text.encode(), (), size) == (text, False)


@pytest.mark.parametrize("size", range(1, 8))
def test_a_stop_string_is_found_over_any_border(size: int) -> None:
    assert said("夜空に星影が<|end|>光る".encode(), ("<|end|>",), size) == ("夜空に星影が", True)


def test_what_only_began_like_a_stop_string_is_given_in_the_end() -> None:
    assert said(b"abc<|en", ("<|end|>",), 1) == ("abc<|en", False)


def test_the_earliest_of_several_stops_counts() -> None:
    assert said(b"one two three", ("three", "two"), 13) == ("one ", True)


def test_no_text_comes_after_the_stop() -> None:
    output = TextOutput(("x",))
    assert output.feed(b"abxc") == "ab"
    assert output.feed(b"def") == ""


def test_bytes_that_are_no_text_are_left_out() -> None:
    assert said(b"a\xff\xe3\x81b\xe3\x81", (), 1) == ("ab", False)


@given(st.text("ab<", max_size=30), st.integers(1, 4))
def test_held_back_text_is_never_lost(text: str, size: int) -> None:
    whole, stopped = said(text.encode(), ("<ab>",), size)
    assert (whole, stopped) == (text, False)
