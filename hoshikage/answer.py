"""An answer as it is generated -> thinking, text and calls told apart. Knows no dialect and no engine."""

import codecs
import secrets
import string
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing

from msgspec import structs

from hoshikage.constraints import Constraint
from hoshikage.conversation import (
    Delta,
    Finished,
    Started,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
)
from hoshikage.plan import Plan
from hoshikage.templates.reasoning import Piece, Splitter

ID_LETTERS = string.ascii_lowercase + string.digits
ID_LENGTH = 8


class Reader:
    """Reads one answer by its plan; it is told the prompt before the first delta comes."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._splitter: Splitter | None = None
        self._parser = plan.parser() if plan.parser else None
        self._calls = 0
        self._waiting: list[TokenLogprob] = []
        """Those of text that has not come out yet."""

    def begin(self, prompt: str) -> Constraint | None:
        """Note how the prompt ends; returns what the answer to it must be."""
        tags = self._plan.tags
        self._splitter = Splitter(tags, begun=self._plan.begun(prompt)) if tags else None
        return self._plan.constrained(prompt)

    async def read(self, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """The same deltas with thinking and calls told from the text, and the plan's warnings."""
        async with aclosing(deltas):
            async for delta in deltas:
                for each in self._read(delta):
                    yield each

    def _read(self, delta: Delta) -> Iterator[Delta]:
        if isinstance(delta, Started):
            yield structs.replace(delta, warnings=(*delta.warnings, *self._plan.warnings))
        elif isinstance(delta, TextDelta) and (self._splitter or self._parser):
            for text, logprobs in by_token(delta):
                self._waiting += logprobs
                yield from self._said(self._splitter.feed(text) if self._splitter else [Piece(text, thinking=False)])
        else:
            if isinstance(delta, Finished):
                yield from self._end()
            yield delta

    def _end(self) -> Iterator[Delta]:
        yield from self._said(self._splitter.end() if self._splitter else [])
        yield from self._told(self._parser.end() if self._parser else [])
        if self._waiting:
            yield TextDelta("", self._taken())

    def _said(self, pieces: Iterable[Piece]) -> Iterator[Delta]:
        for text, thinking in pieces:
            if thinking:
                yield ThinkingDelta(text, self._taken())
            else:
                yield from self._told(self._parser.feed(text) if self._parser else [text])

    def _told(self, events: Iterable[str | ToolCall]) -> Iterator[Delta]:
        for event in events:
            if isinstance(event, str):
                yield TextDelta(event, self._taken())
                continue
            if self._waiting:
                yield TextDelta("", self._taken())
            yield ToolCallDelta(self._calls, structs.replace(event, id=call_id()))
            self._calls += 1

    def _taken(self) -> tuple[TokenLogprob, ...]:
        taken, self._waiting = tuple(self._waiting), []
        return taken


def call_id() -> str:
    return "call_" + "".join(secrets.choice(ID_LETTERS) for _ in range(ID_LENGTH))


def by_token(delta: TextDelta) -> Iterator[tuple[str, tuple[TokenLogprob, ...]]]:
    """The text of each token with its logprob; the last one has the rest."""
    decode, rest = codecs.getincrementaldecoder("utf-8")("ignore").decode, delta.text
    for entry in delta.logprobs[:-1]:
        length = len(decode(entry.data))
        yield rest[:length], (entry,)
        rest = rest[length:]
    yield rest, delta.logprobs[-1:]
