"""Thinking is told from the answer, however the text is cut into chunks."""

import random

import pytest

from hoshikage.templates.reasoning import BLANKS_MAX, Piece, Splitter, Tags

TAGS = Tags("<think>", "</think>")
CASES = [
    ("<think>\nHm, 2 < 3.\n</think>\n\nThree.", False, "Hm, 2 < 3.", "Three."),
    ("  <think>a\n\nb</think>c </think> d ", False, "a\n\nb", "c </think> d "),
    ("\nNo <think>tags</think> first", False, "", "\nNo <think>tags</think> first"),
    ("already\n</think>\n{}", True, "already", "{}"),
    ("<think>\n\n</think>\n\nhi", False, "", "hi"),
    ("<think>cut off </thin", False, "cut off </thin", ""),
    ("<thi", False, "", "<thi"),
    ("", True, "", ""),
    ("a\n", True, "a", ""),
]


def split(chunks: list[str], *, begun: bool) -> tuple[str, str]:
    splitter = Splitter(TAGS, begun=begun)
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)] + splitter.end()
    assert pieces == sorted(pieces, key=lambda piece: not piece.thinking)  # thinking comes first
    return tuple("".join(piece.text for piece in pieces if piece.thinking is kind) for kind in (True, False))  # type: ignore[return-value]


def chunked(text: str, seed: int) -> list[str]:
    dice = random.Random(seed)
    cuts = sorted(dice.randrange(len(text) + 1) for _ in range(dice.randrange(len(text) + 1)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@pytest.mark.parametrize(("text", "begun", "thinking", "answer"), CASES)
def test_thinking_and_answer_are_told_apart_in_any_chunks(text: str, begun: bool, thinking: str, answer: str) -> None:
    assert split([text], begun=begun) == (thinking, answer)
    assert split(list(text), begun=begun) == (thinking, answer)
    for seed in range(100):
        assert split(chunked(text, seed), begun=begun) == (thinking, answer)


def test_what_can_be_no_tag_is_not_held_back() -> None:
    splitter = Splitter(TAGS, begun=True)
    assert splitter.feed("one <") == [Piece("one", thinking=True)]
    assert splitter.feed("b two") == [Piece(" <b two", thinking=True)]
    assert splitter.feed("</think>") == []
    assert splitter.feed("\n\nyes ") == [Piece("yes ", thinking=False)]


@pytest.mark.parametrize(("text", "begun"), [(" " * 3000, False), ("a" + " " * 3000, True)])
def test_blanks_that_go_on_and_on_are_not_held_back(text: str, begun: bool) -> None:
    splitter = Splitter(TAGS, begun=begun)
    told = "".join(piece.text for each in text for piece in splitter.feed(each))
    assert len(told) >= len(text) - BLANKS_MAX
    assert text.startswith(told)


def test_no_more_blanks_are_left_out_whether_they_come_at_once_or_not() -> None:
    text = "a" + " " * 3000 + "</think>b"
    assert split([text], begun=True) == split(list(text), begun=True) == ("a" + " " * (3000 - BLANKS_MAX), "b")
