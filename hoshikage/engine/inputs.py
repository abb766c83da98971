"""Fits token ids of texts and pairs of texts into a window. Pure: it knows no model and no text."""

from dataclasses import dataclass

from hoshikage.errors import InputTooLong, RequestError


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is evaluated, and whether it is less than what was asked for."""

    tokens: list[int]
    truncated: bool


def fit(tokens: list[int], limit: int, ends: tuple[int, ...], *, truncate: bool) -> Fitted:
    """At most `limit` of the tokens; a last one that is among `ends` stays the last.

    Raises InputTooLong where cutting is not allowed, RequestError where nothing of the text would be left.
    """
    if not tokens:
        raise RequestError(reason="the input has no tokens")
    if len(tokens) <= limit:
        return Fitted(tokens, truncated=False)
    if not truncate:
        raise InputTooLong(tokens=len(tokens), limit=limit)
    end = tokens[-1:] if tokens[-1] in ends else []
    return Fitted(_head(tokens, limit - len(end)) + end, truncated=True)


def fit_pair(front: list[int], document: list[int], back: list[int], limit: int, *, truncate: bool) -> Fitted:
    """`front`, as much of the document as fits, `back`. Raises as fit() does."""
    whole = len(front) + len(document) + len(back)
    if whole <= limit:
        return Fitted(front + document + back, truncated=False)
    if not truncate:
        raise InputTooLong(tokens=whole, limit=limit)
    return Fitted(front + _head(document, limit - len(front) - len(back)) + back, truncated=True)


def _head(tokens: list[int], count: int) -> list[int]:
    if count <= 0:
        raise RequestError(reason="input after truncation exceeds maximum context length")
    return tokens[:count]
