"""Logits -> log probabilities of tokens, kept in step with the text that is sent. Knows no model and no sampler.

It runs in the speaker's thread: while a step is decoded, not between two of them. Numpy is imported when the first
request asks, since it would double the time in which a worker is there.
"""

import codecs
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hoshikage.conversation import TokenLogprob

LEAST = -9999.0
"""Stands for the logarithm of nothing, which JSON cannot say; OpenAI's own value."""


def scored(data: bytes, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """The log-softmax of `token`, and of the `count` most probable token ids, the best first.

    `data` is a float32 for each token id.
    """
    import numpy as np

    logits = np.frombuffer(data, np.float32)
    highest = float(logits.max())
    total = highest + float(np.log(np.exp(logits - highest, dtype=np.float64).sum()))

    def of(each: int) -> float:
        return max(LEAST, float(logits[each]) - total)

    count = min(count, len(logits))
    candidates = np.argpartition(logits, -count)[-count:] if count else np.empty(0, np.intp)
    best = sorted(candidates.tolist(), key=lambda each: (-logits[each], each))
    return of(token), [(each, of(each)) for each in best]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry whose `text` begins at character `start` of the answer and is out once `end` characters are."""

    entry: TokenLogprob
    text: str
    start: int
    end: int


class Logprobs:
    """The entries of one answer. add() one for each token, release() those whose text was sent.

    `piece` gives the bytes of a token, and those of control tokens only if it is told so.
    """

    def __init__(self, count: int, piece: Callable[..., bytes]) -> None:
        self._count = count
        self._piece = piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._waiting: deque[_Waiting] = deque()
        self._decoded = 0
        self._sent = 0

    def add(self, token: int, logits: bytes) -> None:
        own, best = scored(logits, token, self._count)
        data = self._piece(token)
        top = tuple((self._piece(each, special=True), logprob) for each, logprob in best)
        text, start = self._decoder.decode(data), self._decoded
        self._decoded += len(text)
        unfinished = 1 if self._decoder.getstate()[0] else 0
        self._waiting.append(_Waiting(TokenLogprob(data, own, top), text, start, self._decoded + unfinished))

    def release(self, text: str) -> tuple[TokenLogprob, ...]:
        """The entries of the tokens that are out altogether now that `text` is sent; none without text."""
        self._sent += len(text)
        found = []
        while text and self._waiting and self._waiting[0].end <= self._sent:
            found.append(self._waiting.popleft().entry)
        return tuple(found)

    def finish(self, text: str, *, stopped: bool) -> tuple[TokenLogprob, ...]:
        """The rest. After a stop string its tokens are left out, and a token that it cut into is cut as well."""
        found = self.release(text)
        rest = tuple(self._waiting)
        self._waiting.clear()
        if not stopped:
            return (*found, *(each.entry for each in rest))
        cut = [each for each in rest if each.start < self._sent and each.text]
        return (*found, *(_cut(each, self._sent - each.start) for each in cut))


def _cut(waiting: _Waiting, length: int) -> TokenLogprob:
    entry = waiting.entry
    return TokenLogprob(waiting.text[:length].encode(), entry.logprob, entry.top)
