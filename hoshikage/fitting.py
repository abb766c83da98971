"""Makes a chat fit: counts its tokens with the engine, leaves out what fit.py says, and renders what stays.

Knows no dialect. Whatever is done with a chat that is too long is done behind `Fit`.
"""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from hoshikage.conversation import Message
from hoshikage.engine.client import Engine
from hoshikage.errors import ContextOverflow, RestTooLong
from hoshikage.fit import Chat, Room
from hoshikage.images import plain
from hoshikage.prompts import Text

IMAGE_TOKENS = 768
"""An image is taken for so many, which is what most projectors make of it at most."""
SPECIAL_TOKENS = 8
"""More than a vocabulary puts before and after a text."""
COUNTS_MAX = 4096
"""Texts of one model whose counts are remembered."""

Render = Callable[[Sequence[Message]], Text]
"""Turns -> their text, in two steps: reading the template before the model is loaded, and rendering it afterwards.

Either may take seconds where the template is a stranger's: not for the event loop.
"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is sent: `turns` as `text`. Of `total` turns so many were `left_out`.

    `tokens` is what all of them have; None where they were not counted, since nothing had to be left out.
    """

    turns: tuple[Message, ...]
    text: str
    total: int
    left_out: int = 0
    tokens: int | None = None


Fit = Callable[[Engine, Render, Sequence[Message], Room], Awaitable[Fitted]]


async def uncut(engine: Engine, render: Render, turns: Sequence[Message], room: Room) -> Fitted:
    """All of it; where that is too long, the engine refuses it."""
    return Fitted(tuple(turns), await rendered(engine, render, turns), len(turns))


async def rendered(engine: Engine, render: Render, turns: Sequence[Message]) -> str:
    """Raises what render() raises."""
    return await asyncio.to_thread(lambda: render(turns)(engine.ready))


class Fitter:
    """Leaves out the oldest exchanges of chats that are too long, and remembers how many tokens texts have."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Engine, OrderedDict[bytes, int]] = WeakKeyDictionary()

    async def fit(self, engine: Engine, render: Render, turns: Sequence[Message], room: Room) -> Fitted:
        """Raises ContextOverflow or RestTooLong, and what render() raises."""
        full = Fitted(tuple(turns), await rendered(engine, render, turns), len(turns))
        if await self._surely_fits(engine, full, room):
            return full
        tokens = await self._tokens(engine, full.text, turns)
        if tokens <= room.wanted:
            return full
        return await self._shortened(engine, render, replace(full, tokens=tokens), room)

    async def _surely_fits(self, engine: Engine, full: Fitted, room: Room) -> bool:
        """No token is shorter than a byte; where that is not enough, turns count by their tokens and what the template
        adds by its bytes. Then only the turns that are new are counted, and not the whole chat each time."""
        size, more = size_of(bare(full.text, full.turns)), SPECIAL_TOKENS + pictures(full.turns)
        if size + more <= room.wanted:
            return True
        texts = [weighed(turn) for turn in full.turns]
        added = max(0, size - sum(map(size_of, texts)))
        return added + more <= room.wanted and sum(await self.counts(engine, texts)) + added + more <= room.wanted

    async def _shortened(self, engine: Engine, render: Render, full: Fitted, room: Room) -> Fitted:
        """What stays is rendered and counted: templates add to it, and tell turns apart by their place."""
        chat = Chat(full.turns)
        if not chat.spare:
            return _answerable(full, full.tokens or 0, room)
        sizes, base = await self._sizes(engine, render, full)
        out = chat.left_out(sizes, base, room) or 1
        while True:
            kept = chat.without(out)
            text = await rendered(engine, render, kept)
            tokens = await self._tokens(engine, text, kept)
            found = Fitted(kept, text, full.total, full.total - len(kept), full.tokens)
            if tokens <= room.wanted:
                return found
            if out == chat.spare:
                return _answerable(found, tokens, room)
            out = chat.further(sizes, out, tokens - room.goal)

    async def _sizes(self, engine: Engine, render: Render, full: Fitted) -> tuple[list[int], int]:
        """Tokens of each turn with its share of what the template adds, and of what stays whatever goes.

        The share is a whole number, so that it is the same in the next request.
        """
        fixed = [turn for turn in full.turns if turn.role == "system"]
        least = await rendered(engine, render, [*fixed, Message(role="user")])
        texts = ["" if turn.role == "system" else weighed(turn) for turn in full.turns]
        *counts, base = await self.counts(engine, [*texts, least])
        own = (full.tokens or 0) - base - sum(counts) - pictures(full.turns)
        share = max(0, -(-own // max(1, len(full.turns) - len(fixed))))
        sizes = [
            0 if turn.role == "system" else count + share + pictures([turn])
            for count, turn in zip(counts, full.turns, strict=True)
        ]
        return sizes, base

    async def _tokens(self, engine: Engine, text: str, turns: Sequence[Message]) -> int:
        return (await engine.count([bare(text, turns)], add_special=True))[0] + pictures(turns)

    async def counts(self, engine: Engine, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has. Those not known yet are counted in one round trip. Raises EngineCrashed."""
        known = self._known.setdefault(engine, OrderedDict())
        keys = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
        asked = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        found = {key: known[key] for key in keys if key in known}
        if asked:
            found |= zip(asked, await engine.count(list(asked.values())), strict=True)
        for key, count in found.items():
            known[key] = count
            known.move_to_end(key)
        while len(known) > COUNTS_MAX:
            known.popitem(last=False)
        return [found[key] for key in keys]


def size_of(text: str) -> int:
    """Bytes, an upper bound of its tokens."""
    return len(text.encode("utf-8", "replace"))


def weighed(turn: Message) -> str:
    """What of a turn is counted. Earlier thinking is not, since most templates leave it out."""
    calls = [json.dumps([call.name, call.arguments], ensure_ascii=False) for call in turn.tool_calls]
    return "\n".join([bare(turn.content, [turn]), *calls])


def bare(text: str, turns: Sequence[Message]) -> str:
    """What is counted of a text: the marks of images differ from request to request, and so would their tokens."""
    return plain(text) if pictures(turns) else text


def pictures(turns: Sequence[Message]) -> int:
    """Tokens of the turns' images."""
    return IMAGE_TOKENS * sum(len(turn.images) for turn in turns)


def _answerable(found: Fitted, tokens: int, room: Room) -> Fitted:
    """What cannot be made shorter, if it leaves any room for an answer. Raises ContextOverflow or RestTooLong."""
    if tokens <= room.most:
        return found
    if not found.left_out:
        raise ContextOverflow(tokens=tokens, limit=room.limit)
    raise RestTooLong(tokens=tokens, limit=room.limit, turns=found.total, left_out=found.left_out)
