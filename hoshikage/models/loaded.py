"""One model that has a worker, from the start of its load to the end of its process. Knows no other model."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from hoshikage.engine.client import Engine
from hoshikage.engine.wire import Load
from hoshikage.models.eviction import Held, Key, State
from hoshikage.models.footprint import Footprint


def key_of(load: Load) -> Key:
    return Path(load.path), (*load.adapters, *([load.projector] if load.projector else []))


@dataclass(slots=True, eq=False)
class Loaded:
    """A model that is loaded, being loaded, or ending. `users` counts the requests that were let in.

    Times are Unix seconds; `since` it was ready, `stopped_at` its end was asked for. `progress` of the load is 0 to 1.
    """

    name: str
    load: Load
    footprint: Footprint
    keep_alive_seconds: float
    starting: "asyncio.Task[Engine]"
    users: int = 0
    waiting: int = 0
    progress: float = 0.0
    since: float = float("inf")
    idle_since: float = field(default_factory=time.time)
    stopped_at: float | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> Key:
        return key_of(self.load)

    @property
    def state(self) -> State:
        if self.stopped_at is not None:
            return State.STOPPING
        if not self.starting.done():
            return State.LOADING
        if self.engine is None or self.engine.lost.is_set():
            return State.STOPPING
        return State.RUNNING if self.users else State.IDLE

    @property
    def held(self) -> Held:
        return Held(self.key, self.footprint.size, self.state, self.since, self.idle_since)

    @property
    def running(self) -> int:
        """Requests that its engine has."""
        return 0 if self.engine is None else self.users

    @property
    def queued(self) -> int:
        """Requests that wait for its load, or to be let in."""
        return self.waiting + self.users - self.running

    @property
    def expires_at(self) -> float:
        """math.inf = never; in the past once it ends."""
        if self.stopped_at is not None:
            return self.stopped_at
        return (time.time() if self.users else self.idle_since) + self.keep_alive_seconds

    @property
    def engine(self) -> Engine | None:
        done = self.starting.done() and not self.starting.cancelled() and self.starting.exception() is None
        return self.starting.result() if done else None

    def stop_timer(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None
