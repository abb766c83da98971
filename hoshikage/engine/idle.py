"""When a worker without work saves what is idle. Pure: it knows a clock, no queue and no model."""

import time
from collections.abc import Callable

REST_SECONDS = 0.5
"""Without work, before the next idle sequence is saved."""


class Idle:
    """Counts from the last work on. What is asked beside it, such as counters, puts nothing off."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: float | None = None
        self._done = False

    def worked(self) -> None:
        """There is work: whatever was done for the idle time begins anew after it."""
        self._since, self._done = None, False

    @property
    def left(self) -> float | None:
        """Seconds to the next rest, at least 0; None once there is nothing left to do."""
        if self._done:
            return None
        if self._since is None:
            self._since = self._now()
        return max(0.0, self._since + REST_SECONDS - self._now())

    def rested(self, *, more: bool) -> None:
        """Something was saved or given back; `more` tells that there may be more of it, after as long again."""
        self._since, self._done = None, not more
