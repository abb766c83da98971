"""Compiler: constraints -> matchers, each once, in a thread of its own and in bounded time. Knows no sequences.

A hostile grammar must not hold up steps, other requests or the reader: what takes too long is given up on.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Union

from hoshikage.constraints import Constraint
from hoshikage.errors import ConstraintRefused

if TYPE_CHECKING:
    from hoshikage.engine.guidance import Matcher  # its package takes 0.1 s, and few workers need it

SECONDS = 5.0
"""The longest that a constraint may take. Within the bounds of size, what was found by trying takes at most 2."""
STUCK = 2
"""So many threads may go on with what was given up; nothing new is compiled beside them."""
STACK_BYTES = 256 << 20
"""Of a thread that compiles: llguidance recurses, some 10 kB a level, and a stack that overflows ends the process.
It is address space, not memory."""
KEPT = 32
"""Compiled constraints kept for the next request with the same."""

Result = Union["Matcher", ConstraintRefused]
Compile = Callable[[Constraint], Result]
Key = tuple[str, str, str, bool]


class Job(NamedTuple):
    id: int
    constraint: Constraint
    done: Callable[[Result], None]


class Compiler:
    """Owns the compiled constraints. `prepare` is called once, by the compiling thread, for what compiles them."""

    def __init__(self, prepare: Callable[[], Compile], *, seconds: float = SECONDS) -> None:
        self.compiled = 0
        """Since the start."""
        self._prepare = prepare
        self._seconds = seconds
        self._kept: OrderedDict[Key, Matcher] = OrderedDict()
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._pending: set[int] = set()
        self._lock = threading.Lock()
        self._stuck: list[threading.Thread] = []
        threading.Thread(target=self._run, name="compiler", daemon=True).start()

    def submit(self, id_: int, constraint: Constraint, done: Callable[[Result], None]) -> None:
        """Call `done` with a matcher of its own or the refusal, at once or in another thread; never after cancel()."""
        try:
            constraint.check()
        except ConstraintRefused as error:
            done(error)
            return
        if known := self._known(constraint):
            done(known)
            return
        with self._lock:
            self._pending.add(id_)
        self._queue.put(Job(id_, constraint, done))

    def cancel(self, id_: int) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            self._pending.discard(id_)

    def _run(self) -> None:
        job = self._queue.get()
        compile_ = self._prepared()
        while True:
            result = self._result(job.constraint, compile_) if job.id in self._pending else None
            with self._lock:
                if result is not None and job.id in self._pending:
                    self._pending.remove(job.id)
                    job.done(result)
            job = self._queue.get()

    def _prepared(self) -> Compile:
        try:
            return self._prepare()
        except ValueError as error:
            reason = f"this model takes no constraints: {error}"
            return lambda constraint: constraint.refusal(reason)

    def _known(self, constraint: Constraint) -> "Matcher | None":
        with self._lock:
            kept = self._kept.get(key(constraint))
            if kept is None:
                return None
            self._kept.move_to_end(key(constraint))
            return kept.copy()

    def _result(self, constraint: Constraint, compile_: Compile) -> Result:
        if known := self._known(constraint):
            return known
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= STUCK:
            return constraint.refusal("others that take too long are still being compiled; try again later")
        results: list[Result] = []
        thread = with_stack(lambda: results.append(compile_(constraint)))
        thread.join(self._seconds)
        if thread.is_alive():
            self._stuck.append(thread)
            return constraint.refusal(f"it takes over {self._seconds:g} seconds to compile; make it simpler")
        self.compiled += 1
        return self._keep(constraint, results[0])

    def _keep(self, constraint: Constraint, result: Result) -> Result:
        if isinstance(result, ConstraintRefused):
            return result
        with self._lock:
            self._kept[key(constraint)] = result
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return result.copy()


def key(constraint: Constraint) -> Key:
    return constraint.kind, constraint.source, constraint.trigger, constraint.strict


def with_stack(target: Callable[[], None]) -> threading.Thread:
    """A started thread with STACK_BYTES of stack."""
    before = threading.stack_size(STACK_BYTES)
    try:
        thread = threading.Thread(target=target, name="compile", daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    return thread
