"""Gives each command of a worker to whom it concerns: the loop that generates, or the embedder.

A model for vectors has no loop: nothing of a KV cache for generating is made for it.
"""

import time
from typing import TYPE_CHECKING

from hoshikage.engine.embedder import Embedder, Job
from hoshikage.engine.loop import Loop, Request
from hoshikage.engine.speaker import Item
from hoshikage.engine.wire import Cancel, Counters, Refused
from hoshikage.errors import Unsupported

if TYPE_CHECKING:
    from hoshikage.engine.llama.media import Projector

Work = Request | Job | Cancel


class Desk:
    """One unit of work for each of the two a step."""

    def __init__(self, loop: Loop | None, embedder: Embedder, projector: "Projector | None" = None) -> None:
        self.loop = loop
        self.embedder = embedder
        self.projector = projector
        self._stepping_since = 0

    @property
    def busy(self) -> bool:
        return self.embedder.busy or (self.loop is not None and self.loop.busy)

    @property
    def window(self) -> int:
        """The most tokens of a sequence, or of an input where the model cannot generate."""
        return self.loop.window if self.loop else self.embedder.window

    @property
    def allocated(self) -> int:
        """Tokens there is room for now."""
        return self.loop.cache.context.cells if self.loop else self.embedder.open().tokens

    def take(self, item: Work) -> list[Item]:
        """Take one command in; what is to be said about it at once."""
        if isinstance(item, Job):
            self.embedder.take(item)
            return []
        if isinstance(item, Cancel):
            self.embedder.cancel(item.id)
        return self.loop.take(item) if self.loop else self._without_loop(item)

    def step(self) -> list[Item]:
        """A decode of the loop, then a call of the embedder, as there is work for them."""
        self._stepping_since = time.monotonic_ns()
        try:
            return self._step()
        finally:
            self._stepping_since = 0

    def counters(self, id_: int) -> Counters:
        """For the reader thread, so that nobody waits for the end of a step."""
        since = self._stepping_since
        step_ns = time.monotonic_ns() - since if since else 0
        return self.loop.counters(id_, step_ns) if self.loop else self.embedder.counters(id_, step_ns)

    def _step(self) -> list[Item]:
        decoding = self.loop is not None and self.loop.busy
        said: list[Item] = [*self.loop.step()] if self.loop and decoding else []
        if self.embedder.busy:
            said += self.embedder.step(beside_decode=decoding)
        else:
            self.embedder.rest()
        return said

    def rest(self) -> bool:
        """Without work: save an idle sequence, give back what is not needed; False if nothing is left to be done."""
        saved = self.loop is not None and self.loop.save_one()
        return self.embedder.rest() or saved

    def save_all(self) -> None:
        """The worker ends."""
        if self.loop:
            self.loop.save_all()

    def refuse_all(self, reason: str) -> list[Item]:
        """The context is broken: everything ends."""
        said: list[Item] = [*self.loop.refuse_all(reason)] if self.loop else []
        return [*said, *self.embedder.refuse_all(reason)]

    def _without_loop(self, item: Request | Cancel) -> list[Item]:
        if isinstance(item, Cancel):
            return []
        return [Refused(id=item.command.id, reason="generate", code=Unsupported.code)]
