"""A machine of numbers for the tests of eviction: it does what a plan says, and every step is recorded and checked."""

import random
from dataclasses import dataclass, field
from pathlib import Path

from hoshikage.models.eviction import Bytes, Held, Key, Room, State, Waiting, plan, total


def key(name: str) -> Key:
    return Path(name), ()


@dataclass
class Worker:
    size: Bytes
    state: State = State.LOADING
    users: int = 0
    since: float = float("inf")
    idle_since: float = 0.0


@dataclass
class PoolMachine:
    """Memory of `memory` bytes; what its plans had it do is in `done`, as (verb, name) or (verb, name, number)."""

    memory: Bytes
    max_loaded: int
    now: float = 0.0
    admitted: int = 0
    workers: dict[Key, Worker] = field(default_factory=dict)
    queue: list[Waiting] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    asked: int = 0
    done: list[tuple[str, str] | tuple[str, str, int]] = field(default_factory=list)

    @property
    def free(self) -> Bytes:
        return self.memory - total(worker.size for worker in self.workers.values())

    def ask(self, name: str, ram: int, vram: int = 0) -> None:
        """A request for a model of that size arrives."""
        self.queue.append(Waiting(key(name), Bytes(ram, vram), self.now, self.admitted))
        self.numbers[id(self.queue[-1])] = self.asked
        self.asked += 1
        self.turn()

    def turn(self) -> None:
        held = [Held(each, w.size, w.state, w.since, w.idle_since) for each, w in self.workers.items()]
        made = plan(held, self.queue, Room(self.free, self.max_loaded, self.now, self.admitted))
        for refused, most in made.refuse:
            assert not most.holds(refused.size)
            self._gone("refuse", refused)
        for each in made.evict:
            assert self.workers[each].state is State.IDLE, "a busy model was to go"
            self._note("evict", each)
            self.workers[each].state = State.STOPPING
        for first in made.start:
            assert first.key not in self.workers, "it has a worker already"
            self._note("start", first.key)
            self.workers[first.key] = Worker(first.size)
        for admitted in made.admit:
            worker = self.workers[admitted.key]
            assert worker.state is not State.STOPPING, "let into a model that ends"
            self._gone("admit", admitted)
            worker.users += 1
            worker.state = State.LOADING if worker.state is State.LOADING else State.RUNNING
            self.admitted += 1
        assert self.free.ram >= 0 and self.free.vram >= 0, "more is loaded than fits"
        assert len(self.workers) <= self.max_loaded, "more are loaded than may be"

    def loaded(self, name: str) -> None:
        """Its load is over."""
        worker = self.workers[key(name)]
        worker.state, worker.since = (State.RUNNING if worker.users else State.IDLE), self.now
        self.turn()

    def answered(self, name: str) -> None:
        """One of its requests is over."""
        worker = self.workers[key(name)]
        worker.users, worker.idle_since = worker.users - 1, self.now
        worker.state = worker.state if worker.users else State.IDLE
        self.turn()

    def ended(self, name: str) -> None:
        """Its process is gone."""
        del self.workers[key(name)]
        self.turn()

    def pass_time(self, choice: random.Random) -> None:
        """A moment in which a load or an end is over with chance 1:3, each request with chance 1:10."""
        for each, worker in list(self.workers.items()):
            if worker.state in {State.LOADING, State.STOPPING}:
                if choice.random() < 1 / 3:
                    (self.loaded if worker.state is State.LOADING else self.ended)(str(each[0]))
                continue
            for _ in range(sum(choice.random() < 1 / 10 for _ in range(worker.users))):
                self.answered(str(each[0]))

    def step(self, choice: random.Random) -> bool:
        """One of the things that can happen next happens; False if nothing is under way."""
        events = []
        for (path, _), worker in self.workers.items():
            if worker.state is State.LOADING:
                events.append((self.loaded, str(path)))
            elif worker.state is State.STOPPING:
                events.append((self.ended, str(path)))
            elif worker.users:
                events.append((self.answered, str(path)))
        if events:
            happens, name = choice.choice(events)
            happens(name)
        return bool(events)

    def _note(self, verb: str, which: Key) -> None:
        self.done.append((verb, str(which[0])))

    def _gone(self, verb: str, waiting: Waiting) -> None:
        self.queue.remove(waiting)
        self.done.append((verb, str(waiting.key[0]), self.numbers.pop(id(waiting))))
