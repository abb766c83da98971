"""Which models are not loaded for a while, since their worker has crashed too often while it loaded them.

Wraps what starts workers; knows files and times, no processes. A circuit breaker: after the pause one more try decides.
"""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec

from msgspec import Struct

from hoshikage.engine.client import Engine
from hoshikage.engine.wire import Load
from hoshikage.errors import CoolingDown, LoadCrashed

CRASHES = 3
WITHIN_SECONDS = 60.0
"""So many crashes in so short a time, and the model is not loaded for a while."""
PAUSE_SECONDS, PAUSE_MOST_SECONDS = 60.0, 960.0
"""The first pause; each crash after one doubles it, up to the longest."""

Clock = Callable[[], float]
Files = tuple[Path, ...]
State = tuple[tuple[int, int] | None, ...]
"""Size and modification time of each file; None = it is not there."""
P = ParamSpec("P")


class Pause(Struct, frozen=True):
    """A model that is not loaded now, for people."""

    path: str
    crashes: int
    seconds: int
    reason: str


@dataclass(slots=True)
class Record:
    """The crashes of one model since its last success, while its files were in one state."""

    state: State
    times: list[float] = field(default_factory=list)
    reason: str = ""
    pause: float = 0.0
    until: float = -math.inf


class Cooldown:
    """Counts what is told of loads; a success, or a change of the files, makes it forget. For event loops."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._now = now
        self._records: dict[Files, Record] = {}

    def guarding(
        self, start: Callable[Concatenate[Load, P], Awaitable[Engine]]
    ) -> Callable[Concatenate[Load, P], Awaitable[Engine]]:
        """`start` that raises CoolingDown at once for a model in its pause, and counts the crashes of the others."""

        async def guarded(load: Load, /, *args: P.args, **kwargs: P.kwargs) -> Engine:
            files = files_of(load)
            state = state_of(files)
            self.check(files, state)
            try:
                engine = await start(load, *args, **kwargs)
            except LoadCrashed as error:
                self.crashed(files, state, str(error.data["reason"]))
                raise
            self.loaded(files)
            return engine

        return guarded

    def gate(self, load: Load) -> None:
        """Raises CoolingDown for a model in its pause, before anything is done for its load."""
        files = files_of(load)
        self.check(files, state_of(files))

    def check(self, files: Files, state: State) -> None:
        """Raises CoolingDown in a pause, unless the files are others now."""
        record = self._records.get(files)
        if record and record.state != state:
            del self._records[files]
        elif record and (left := record.until - self._now()) > 0:
            raise CoolingDown(crashes=len(record.times), reason=record.reason, retry_after=math.ceil(left))

    def crashed(self, files: Files, state: State, reason: str) -> None:
        """A worker ended while it loaded these files."""
        record, now = self._records.get(files), self._now()
        if record is None or record.state != state:
            record = self._records[files] = Record(state)
        record.reason = reason
        record.times.append(now)
        if record.pause:
            record.pause = min(2 * record.pause, PAUSE_MOST_SECONDS)
        elif len(record.times) >= CRASHES and now - record.times[-CRASHES] <= WITHIN_SECONDS:
            record.pause = PAUSE_SECONDS
        if record.pause:
            record.until = now + record.pause

    def loaded(self, files: Files) -> None:
        """The model could be loaded."""
        self._records.pop(files, None)

    def pauses(self) -> list[Pause]:
        """The models in their pause now."""
        now = self._now()
        return [
            Pause(str(files[0]), len(record.times), math.ceil(record.until - now), record.reason)
            for files, record in self._records.items()
            if record.until > now
        ]


def files_of(load: Load) -> Files:
    """All that a worker reads of a model, its own file first."""
    return tuple(Path(each) for each in (load.path, *load.adapters, load.draft_path, load.projector) if each)


def state_of(files: Files) -> State:
    """What tells that a file has been replaced."""
    return tuple(_state(path) for path in files)


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
