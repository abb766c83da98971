"""A small model that guesses how the sequences of a larger one go on (arXiv:2211.17192). Knows no scheduling.

Both have one vocabulary. Its own KV cache follows the sequences: what they no longer have in common is cut.
"""

import time

from hoshikage.engine.llama.batch import Batch
from hoshikage.engine.llama.chain import Chain, greedy_link
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.context import Context
from hoshikage.engine.llama.model import Model
from hoshikage.engine.pace import mean
from hoshikage.engine.prefix import common_prefix
from hoshikage.errors import SequenceFailed

SLOTS = 2
"""Sequences it follows at a time."""
CATCH_UP = 256
"""Tokens it takes in at a time before it can guess: streams wait for it."""

now = time.perf_counter_ns


class DraftModel:
    """Owns its context. Sequences longer than `window` tokens are not guessed for."""

    def __init__(self, model: Model, computing: Computing, *, window: int) -> None:
        self.token_ns = 0.0
        self._window = min(window, model.trained)
        self._context = Context(model, computing.plain, cells=SLOTS * self._window, batch=CATCH_UP, slots=SLOTS)
        self._batch = Batch(CATCH_UP)
        self._greedy = Chain([greedy_link()])
        self._told: list[list[int]] = [[] for _ in range(SLOTS)]
        self._slots: dict[int, int] = {}

    def guess(self, id_: int, tokens: list[int], most: int) -> tuple[int, ...]:
        """The `most` most probable tokens after `tokens`, one after the other; none until it has caught up."""
        slot = self._slot(id_)
        if slot is None or len(tokens) + most > self._window:
            return ()
        row = self._follow(slot, tokens)
        if len(self._told[slot]) < len(tokens):
            return ()
        started, guessed = now(), [self._greedy.sample(self._context, row)]
        while len(guessed) < most:
            row = self._take(slot, guessed[-1:])
            guessed.append(self._greedy.sample(self._context, row))
        self.token_ns = mean(self.token_ns, (now() - started) / most)
        return tuple(guessed)

    def close(self, id_: int) -> None:
        """The sequence has ended; what it had in common with the next one is kept."""
        self._slots.pop(id_, None)

    def _slot(self, id_: int) -> int | None:
        if id_ not in self._slots:
            free = set(range(SLOTS)) - set(self._slots.values())
            if not free:
                return None
            self._slots[id_] = min(free)
        return self._slots[id_]

    def _follow(self, slot: int, tokens: list[int]) -> int:
        """Cut what differs and take in what is missing, at most CATCH_UP tokens. Returns the row of the last one."""
        told = self._told[slot]
        kept = self._context.cut(slot, min(common_prefix(told, tokens), len(tokens) - 1))
        del told[kept:]
        return self._take(slot, tokens[kept : kept + CATCH_UP])

    def _take(self, slot: int, tokens: list[int]) -> int:
        told = self._told[slot]
        self._batch.clear()
        row = self._batch.add_many(tokens, len(told), slot, outputs=1)
        if not self._context.decode(self._batch):
            raise SequenceFailed(reason="the draft model has no room for its sequences")
        told.extend(tokens)
        return row
