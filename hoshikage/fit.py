"""Which turns of a chat are left out so that it fits: whole exchanges, the oldest first. Pure: it counts no tokens.

A chat is gone through request by request, as it came about, so that each request cuts where the one before it did and
finds its beginning in the KV cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hoshikage.conversation import Message

KEPT_EXCHANGES = 3
"""These stay, and so does the present question."""
ANSWER_TOKENS_MAX = 1024


@dataclass(frozen=True, slots=True)
class Room:
    """Tokens. A prompt of up to `most` can be answered; over `wanted`, turns are left out until it has `goal`."""

    limit: int
    most: int
    wanted: int
    goal: int


def room(limit: int, answer: int) -> Room:
    """The room within `limit` tokens for a prompt whose answer has `answer` tokens, 0 or less = who knows.

    An eighth is kept for an answer of unknown length, never more than a quarter. After a cut a quarter is free, so that
    several turns fit until the next one: what is cut moves the rest of the chat, which must then be evaluated again.
    """
    reserve = answer if answer > 0 else min(limit // 8, ANSWER_TOKENS_MAX)
    return Room(limit, limit - 1, limit - max(1, min(reserve, limit // 4)), limit * 3 // 4)


class Chat:
    """Its exchanges, each the places of a question and of all that answers it. System messages belong to none."""

    def __init__(self, turns: Sequence[Message]) -> None:
        self.turns = tuple(turns)
        self.exchanges: list[list[int]] = []
        for place, turn in enumerate(turns):
            if turn.role == "system":
                continue
            if turn.role == "user" or not self.exchanges:
                self.exchanges.append([])
            self.exchanges[-1].append(place)

    @property
    def spare(self) -> int:
        """How many exchanges may be left out."""
        return max(0, len(self.exchanges) - 1 - KEPT_EXCHANGES)

    def left_out(self, sizes: Sequence[int], base: int, room: Room) -> int:
        """How many exchanges are left out of a chat whose turns have these sizes, beside a `base` that always stays."""
        out, held = 0, base
        for number, exchange in enumerate(self.exchanges):
            for place in exchange:
                held += sizes[place]
                if self._asked(place) and held > room.wanted:
                    while out < number - KEPT_EXCHANGES and held > room.goal:
                        held -= self._size(out, sizes)
                        out += 1
        return out

    def further(self, sizes: Sequence[int], out: int, excess: int) -> int:
        """How many are left out when `excess` tokens more must go than with `out`: one more, if there is one."""
        while out < self.spare:
            excess -= self._size(out, sizes)
            out += 1
            if excess <= 0:
                break
        return out

    def without(self, out: int) -> tuple[Message, ...]:
        """The turns that stay when the first `out` exchanges go."""
        gone = {place for exchange in self.exchanges[:out] for place in exchange}
        return tuple(turn for place, turn in enumerate(self.turns) if place not in gone)

    def _size(self, number: int, sizes: Sequence[int]) -> int:
        return sum(sizes[place] for place in self.exchanges[number])

    def _asked(self, place: int) -> bool:
        """Whether a request ended with this turn, as far as the chat tells."""
        following = place + 1
        while following < len(self.turns) and self.turns[following].role == "system":
            following += 1
        if following == len(self.turns):
            return True
        return self.turns[following].role == "assistant" and self.turns[place].role != "assistant"
