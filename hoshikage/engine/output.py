"""Bytes of tokens -> whole characters, stop strings, the held-back tail. Knows no tokens, no model."""

import codecs


class TextOutput:
    """The text of one sequence. feed() gives what can be sent; after `stopped` nothing more comes.

    Bytes that are no UTF-8 are left out: they are no text in any reading, and no client can show them.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(s for s in stops if s)
        self._decode = codecs.getincrementaldecoder("utf-8")("ignore").decode
        self._held = ""
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """The text that `data` completes, without what may still become a stop string."""
        if self.stopped:
            return ""
        text = self._decode(data)
        return self._release(self._held + text) if self._stops else text

    def flush(self) -> str:
        """What was held back, at the end of the sequence; an unfinished character is dropped."""
        held, self._held = self._held, ""
        return "" if self.stopped else held

    def _release(self, text: str) -> str:
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
