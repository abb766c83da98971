"""Splits what a model thinks from its answer while both come in. Knows no template and no engine."""

from typing import Literal, NamedTuple

BLANKS_MAX = 1024
"""So many in a row may be left out next to a tag, and are held back until it is there."""

Phase = Literal["before", "thinking", "after", "answer"]


class Tags(NamedTuple):
    """The texts around thinking, as the template writes them."""

    opening: str
    closing: str


class Piece(NamedTuple):
    """A part of what was said, without tags."""

    text: str
    thinking: bool


class Splitter:
    """Thinking stands at the start, between the tags; the opening one may have `begun` in the prompt.

    The tags and the blanks around them are left out. Without an opening tag everything is the answer.
    """

    def __init__(self, tags: Tags, *, begun: bool) -> None:
        self._tags = tags
        self._phase: Phase = "thinking" if begun else "before"
        self._held = ""
        self._silent = begun
        """Whether nothing has been thought yet, so that blanks are those after the tag."""

    def feed(self, text: str) -> list[Piece]:
        """The pieces that `text` completes."""
        self._held += text
        pieces: list[Piece] = []
        while self._step(pieces):
            pass
        return pieces

    def end(self) -> list[Piece]:
        """What was held back, since it could have become a tag."""
        held, self._held = self._held, ""
        if self._phase == "thinking":
            held = held.rstrip()
        return [Piece(held, self._phase == "thinking")] if held and self._phase != "after" else []

    def _step(self, pieces: list[Piece]) -> bool:
        """One move; returns whether another one may follow."""
        match self._phase:
            case "before":
                return self._open()
            case "thinking":
                return self._think(pieces)
            case "after":
                self._held = self._held.lstrip()
                self._phase = "answer" if self._held else "after"
                return bool(self._held)
        if self._held:
            pieces.append(Piece(self._held, thinking=False))
            self._held = ""
        return False

    def _open(self) -> bool:
        start = self._held.lstrip()
        if len(self._held) - len(start) > BLANKS_MAX:
            self._phase = "answer"
            return True
        if start.startswith(self._tags.opening):
            self._held, self._phase, self._silent = start[len(self._tags.opening) :], "thinking", True
            return True
        if start and not self._tags.opening.startswith(start):
            self._phase = "answer"
            return True
        return False

    def _think(self, pieces: list[Piece]) -> bool:
        if self._silent:
            self._held = self._held.lstrip()
        before, closing, rest = self._held.partition(self._tags.closing)
        ready = before[: trimmed(before) if closing else settled(before, self._tags.closing)]
        if ready:
            self._silent = False
            pieces.append(Piece(ready, thinking=True))
        self._held = rest if closing else before[len(ready) :]
        if closing:
            self._phase = "after"
        return bool(closing)


def settled(text: str, mark: str) -> int:
    """The length of `text` that comes before `mark`, should it follow, and before the blanks in front of that."""
    longest = min(len(text), len(mark) - 1)
    overlap = next((n for n in range(longest, 0, -1) if text.endswith(mark[:n])), 0)
    return trimmed(text[: len(text) - overlap])


def trimmed(text: str) -> int:
    """The length of `text` without blanks at its end."""
    return max(len(text.rstrip()), len(text) - BLANKS_MAX)
