"""Who is served next, which model is loaded for it, and which must go. Pure: numbers in, decisions out.

Requests for a loaded model go on while another model waits for room, so that they are grouped; but nobody waits for
ever. A request that has been blocked for PATIENCE_SECONDS, or while PASSED_MOST others were let in, is overdue: what is
in its way takes no new requests, ends those it has, and goes. A model that has come stays for PATIENCE_SECONDS too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

PATIENCE_SECONDS = 10.0
PASSED_MOST = 100

Key = tuple[Path, tuple[str, ...]]
"""What a worker has loaded: the model's file and what it was loaded with, its adapters and its projector."""


class State(StrEnum):
    LOADING = "loading"
    RUNNING = "running"
    IDLE = "idle"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Bytes:
    """An amount of the machine's memory and of its GPUs'."""

    ram: int = 0
    vram: int = 0

    def __add__(self, other: "Bytes") -> "Bytes":
        return Bytes(self.ram + other.ram, self.vram + other.vram)

    def __sub__(self, other: "Bytes") -> "Bytes":
        return Bytes(self.ram - other.ram, self.vram - other.vram)

    def holds(self, other: "Bytes") -> bool:
        """Whether `other` fits; what needs nothing fits everywhere."""
        return (other.ram <= self.ram or not other.ram) and (other.vram <= self.vram or not other.vram)


NOTHING = Bytes()


@dataclass(frozen=True, slots=True)
class Held:
    """A model that has a worker. Times in seconds of one clock: `since` it was ready, inf while it loads."""

    key: Key
    size: Bytes
    state: State
    since: float
    idle_since: float = 0.0


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that is not let in yet: since when, and how many had been let in before it came."""

    key: Key
    size: Bytes
    since: float
    came_after: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What is free now and how many workers there may be; `admitted` requests were let in since the start."""

    free: Bytes
    max_loaded: int
    now: float = 0.0
    admitted: int = 0


@dataclass(slots=True)
class Plan:
    """What is to be done, in this order: refuse, evict, start, admit (in the order of the list).

    A refusal carries what could be free at most. Who waits for a model that is started is among the admitted.
    """

    refuse: list[tuple[Waiting, Bytes]] = field(default_factory=list)
    evict: list[Key] = field(default_factory=list)
    start: list[Waiting] = field(default_factory=list)
    admit: list[Waiting] = field(default_factory=list)


def plan(held: Sequence[Held], waiting: Sequence[Waiting], room: Room) -> Plan:
    """What can be done now for those who wait, the first to come first."""
    draft = _Draft(held, room)
    loaded = {each.key for each in held}
    claims: dict[Key, Waiting] = {}
    for each in waiting:
        if each.key not in loaded:
            claims.setdefault(each.key, each)
    for claim in claims.values():
        if draft.too_large(claim):
            draft.made.refuse += [(each, draft.most) for each in waiting if each.key == claim.key]
        elif not draft.place(claim):
            break
    draft.made.admit += [each for each in waiting if each.key in draft.open]
    return draft.made


class _Draft:
    """A plan in the making. `now` is free at once, `soon` when what is ending has ended; waiting claims have their
    part of both."""

    def __init__(self, held: Sequence[Held], room: Room) -> None:
        self.made = Plan()
        self.open = {each.key for each in held if each.state is not State.STOPPING}
        self.most = total((each.size for each in held), room.free)
        self._room = room
        self._staying = [each for each in held if each.state is not State.STOPPING]
        self._settled = all(each.state in {State.RUNNING, State.IDLE} for each in held)
        self._now, self._now_places = room.free, room.max_loaded - len(held)
        ending = [each for each in held if each.state is State.STOPPING]
        self._soon = total((each.size for each in ending), room.free)
        self._soon_places = self._now_places + len(ending)

    def too_large(self, claim: Waiting) -> bool:
        """Whether an empty machine could not hold it. Not judged while loads and ends blur what is free."""
        return self._settled and not self.most.holds(claim.size)

    def place(self, claim: Waiting) -> bool:
        """Start it, make room for it or let it wait; False if nobody may be placed after it."""
        if not (going := self._victims(claim, self._idle())) and not self._fits(claim, ()):
            return self._wait_for_running(claim)
        for each in going:
            self._evict(each)
        self._soon, self._soon_places = self._soon - claim.size, self._soon_places - 1
        if not going and self._now_places > 0 and self._now.holds(claim.size):
            self.made.start.append(claim)
            self.open.add(claim.key)
        self._now, self._now_places = self._now - claim.size, self._now_places - 1
        return True

    def _wait_for_running(self, claim: Waiting) -> bool:
        in_the_way = self._victims(claim, [*self._idle(), *self._busy()])
        if not self._overdue(claim, in_the_way):
            return True
        for each in in_the_way:
            self.open.discard(each.key)
            if each.state is State.IDLE:
                self._evict(each)
        return False

    def _overdue(self, claim: Waiting, in_the_way: Sequence[Held]) -> bool:
        if self._room.admitted - claim.came_after >= PASSED_MOST:
            return True
        waits_since = max([claim.since, *(each.since for each in in_the_way if each.state is not State.IDLE)])
        return self._room.now - waits_since >= PATIENCE_SECONDS

    def _victims(self, claim: Waiting, candidates: Sequence[Held]) -> Sequence[Held]:
        """As many of the candidates, in their order, as must go for it; none where even all were too few."""
        for count in range(len(candidates) + 1):
            if self._fits(claim, candidates[:count]):
                return candidates[:count]
        return ()

    def _fits(self, claim: Waiting, without: Sequence[Held]) -> bool:
        free = total((each.size for each in without), self._soon)
        return self._soon_places + len(without) > 0 and free.holds(claim.size)

    def _idle(self) -> list[Held]:
        """The least recently used first."""
        return sorted((each for each in self._staying if each.state is State.IDLE), key=lambda each: each.idle_since)

    def _busy(self) -> list[Held]:
        """The one that has been there for longest first: a choice that does not change from look to look."""
        busy = (each for each in self._staying if each.state is not State.IDLE)
        return sorted(busy, key=lambda each: each.since)

    def _evict(self, held: Held) -> None:
        self.made.evict.append(held.key)
        self._staying.remove(held)
        self.open.discard(held.key)
        self._soon, self._soon_places = self._soon + held.size, self._soon_places + 1


def total(sizes: Iterable[Bytes], start: Bytes = NOTHING) -> Bytes:
    """`start` and all the sizes together."""
    return sum(sizes, start)
