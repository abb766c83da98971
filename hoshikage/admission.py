"""Who may enter: the bounded queues of the server and of each key, and when it is worth asking again.

Pure: nothing is waited for, and the clock is given. It knows owners and their keys, no model and no HTTP.
"""

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from hoshikage.errors import HoshikageError, Overloaded, QuotaExceeded, ServerStopping
from hoshikage.keys import Keys, Quota
from hoshikage.settings import Settings

UNMEASURED_SECONDS = 5
"""What is said as long as no request has ended: clients that give up after two tries of their own wait that long."""
LEAST_SECONDS, MOST_SECONDS = 1, 600
WINDOW_SECONDS = 60.0
"""Of work, over which the speed is measured; and of time, over which a quota `per_minute` counts."""

log = logging.getLogger("hoshikage.admission")

Clock = Callable[[], float]


class Reason(StrEnum):
    """Why a request was refused."""

    QUEUE = "queue"
    KEY_QUEUE = "key_queue"
    KEY_AT_ONCE = "key_at_once"
    KEY_PER_MINUTE = "key_per_minute"
    BODIES = "bodies"
    STOPPING = "stopping"


class Report(Struct, frozen=True):
    """What is going on now, and counts since the start. `per_second` is None as long as nothing has ended."""

    running: int
    waiting: int
    max_waiting: int
    per_second: float | None
    finished_total: int
    left_total: int
    refused_total: dict[str, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """`waiting` requests may wait beside the `running` ones that there is room for, `key_waiting` of one key."""

    running: int
    waiting: int
    key_waiting: int


class Speed:
    """Requests ended per second of work. The time in which nobody asks does not count: it tells nothing of speed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._worked = 0.0
        self._since: float | None = None
        self._ends: deque[float] = deque()

    def start(self) -> None:
        """There is work from now on."""
        self._since = self._clock()

    def stop(self) -> None:
        """There is none any more."""
        self._worked, self._since = self.worked, None

    @property
    def worked(self) -> float:
        """Seconds."""
        return self._worked + (0.0 if self._since is None else self._clock() - self._since)

    def note(self) -> None:
        """A request has ended."""
        self._ends.append(self.worked)
        self._prune()

    def per_second(self) -> float | None:
        """Over the last WINDOW_SECONDS of work, or since the last end where that is longer ago."""
        self._prune()
        if not self._ends:
            return None
        seconds = max(min(self.worked, WINDOW_SECONDS), self.worked - self._ends[-1])
        return len(self._ends) / seconds if seconds > 0 else None

    def _prune(self) -> None:
        while len(self._ends) > 1 and self._ends[0] < self.worked - WINDOW_SECONDS:
            self._ends.popleft()


@dataclass(slots=True)
class Share:
    """What one key has here now, and when it has entered within the last minute."""

    waiting: int = 0
    running: int = 0
    entered: deque[float] = field(default_factory=deque)


@dataclass(slots=True)
class Ticket:
    """One request that has entered."""

    share: Share
    began: bool = False

    def begin(self) -> None:
        """It runs; a second call does nothing."""
        if not self.began:
            self.began = True
            self.share.waiting -= 1
            self.share.running += 1


class Admission:
    """Counts the requests that wait or run, of all models together. `quota_of` gives a key's quota, None for no key."""

    def __init__(self, limits: Limits, quota_of: Callable[[str], Quota | None], clock: Clock = time.monotonic) -> None:
        self.limits = limits
        self.over = asyncio.Event()
        """Set when what still runs has to end: the server stops."""
        self.stopping = False
        self._quota_of = quota_of
        self._clock = clock
        self._shares: dict[str, Share] = {}
        self._speed = Speed(clock)
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._warned_at = -math.inf

    @property
    def running(self) -> int:
        return sum(share.running for share in self._shares.values())

    @property
    def waiting(self) -> int:
        return sum(share.waiting for share in self._shares.values())

    @contextmanager
    def enter(self, owner: str) -> Iterator[Ticket]:
        """A place for a request of `owner` (KEY or KEY/USER), for the time of the context.

        Raises Overloaded, QuotaExceeded or ServerStopping, with `retry_after` in seconds.
        """
        key = owner.partition("/")[0]
        share = self._shares.setdefault(key, Share())
        if refusal := self._refusal(share, self._quota_of(key)):
            raise refusal
        if not self.waiting + self.running:
            self._speed.start()
        share.waiting += 1
        ticket = Ticket(share)
        try:
            yield ticket
        finally:
            self._leave(ticket)

    def refuse(self, reason: Reason) -> HoshikageError:
        """The refusal that others give in its name, counted."""
        self._refused[reason] += 1
        kind = ServerStopping if reason is Reason.STOPPING else Overloaded
        return kind(retry_after=UNMEASURED_SECONDS if self.stopping else self._seconds(self.waiting + self.running))

    def report(self) -> Report:
        speed = self._speed.per_second()
        return Report(
            running=self.running,
            waiting=self.waiting,
            max_waiting=self.limits.waiting,
            per_second=None if speed is None else round(speed, 3),
            finished_total=self._counts["finished"],
            left_total=self._counts["left"],
            refused_total={reason.value: self._refused[reason] for reason in Reason},
        )

    def _refusal(self, share: Share, quota: Quota | None) -> HoshikageError | None:
        if self.stopping:
            return self.refuse(Reason.STOPPING)
        if quota and (refusal := self._over_quota(share, quota)):
            return refusal
        unused = max(0, self.limits.running - self.running)
        if self.waiting < self.limits.waiting + unused:
            if quota and quota.per_minute:
                share.entered.append(self._clock())
            return None
        self._warn()
        return self.refuse(Reason.QUEUE)

    def _over_quota(self, share: Share, quota: Quota) -> QuotaExceeded | None:
        unused = max(0, self.limits.running - self.running)
        own = share.waiting + share.running
        if quota.at_once and own >= quota.at_once:
            return self._exceeded(Reason.KEY_AT_ONCE, f"at most {quota.at_once} at once", self._turn(own))
        if share.waiting >= self.limits.key_waiting + unused:
            return self._exceeded(Reason.KEY_QUEUE, f"at most {self.limits.key_waiting} may wait", self._turn(own))
        if quota.per_minute and (seconds := self._until_minute(share, quota.per_minute)):
            return self._exceeded(Reason.KEY_PER_MINUTE, f"at most {quota.per_minute} a minute", seconds)
        return None

    def _exceeded(self, reason: Reason, limit: str, seconds: int) -> QuotaExceeded:
        self._refused[reason] += 1
        return QuotaExceeded(limit=limit, retry_after=seconds)

    def _until_minute(self, share: Share, per_minute: int) -> int:
        """Seconds until the key may enter again; 0 = now."""
        now = self._clock()
        while share.entered and share.entered[0] <= now - WINDOW_SECONDS:
            share.entered.popleft()
        if len(share.entered) < per_minute:
            return 0
        return max(LEAST_SECONDS, math.ceil(share.entered[-per_minute] + WINDOW_SECONDS - now))

    def _turn(self, own: int) -> int:
        """Seconds until one of the key's `own` requests ends, if every request is as likely to be the next."""
        return self._seconds((self.waiting + self.running) / max(1, own))

    def _seconds(self, ahead: float) -> int:
        """How long the server takes for as many requests as are ahead, at its measured speed."""
        speed = self._speed.per_second()
        seconds = UNMEASURED_SECONDS if speed is None else math.ceil(ahead / speed)
        return min(max(seconds, LEAST_SECONDS), MOST_SECONDS)

    def _leave(self, ticket: Ticket) -> None:
        if ticket.began:
            ticket.share.running -= 1
            self._speed.note()
        else:
            ticket.share.waiting -= 1
        self._counts["finished" if ticket.began else "left"] += 1
        if not self.waiting + self.running:
            self._speed.stop()

    def _warn(self) -> None:
        """Once a minute: a line for each refusal would cost more than the refusal."""
        if self._clock() - self._warned_at > WINDOW_SECONDS:
            self._warned_at = self._clock()
            log.warning("the queue is full: %d wait (MAX_QUEUE), %d run; more get 503", self.waiting, self.running)


def admission_of(settings: Settings, keys: Keys) -> Admission:
    """The queue that the settings ask for."""
    waiting = settings.max_queue
    own = min(settings.key_max_queue or max(1, waiting // 2), waiting)
    return Admission(Limits(settings.num_parallel, waiting, own), keys.quota)
