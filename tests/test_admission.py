"""The bounded queues, the quotas of keys, and what is measured for Retry-After."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.admission import Admission, Limits, Ticket
from hoshikage.errors import HoshikageError, Overloaded, QuotaExceeded, ServerStopping
from hoshikage.keys import Quota

SMALL = Limits(running=2, waiting=3, key_waiting=3)


class Clock:
    """Goes on when it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock, limits: Limits = SMALL, **quotas: Quota) -> Admission:
    return Admission(limits, quotas.get, clock)


def refused(entering: Callable[[], AbstractContextManager[Ticket]], kind: type[HoshikageError]) -> int:
    """The seconds to wait that the refusal names."""
    with pytest.raises(kind) as told, entering():
        pass
    seconds = told.value.data["retry_after"]
    assert isinstance(seconds, int)
    return seconds


def test_what_can_run_does_not_count_against_the_queue() -> None:
    gate = opened(Clock())
    with ExitStack() as stack:
        tickets = [stack.enter_context(gate.enter("local")) for _ in range(5)]
        refused(lambda: gate.enter("local"), Overloaded)
        tickets[0].begin()
        refused(lambda: gate.enter("local"), Overloaded)
        assert (gate.running, gate.waiting) == (1, 4)
    assert (gate.running, gate.waiting) == (0, 0)


def test_who_leaves_makes_room_at_once() -> None:
    gate = opened(Clock(), Limits(1, 1, 1))
    with gate.enter("local") as ticket:
        ticket.begin()
        for _ in range(3):
            with gate.enter("local"):
                refused(lambda: gate.enter("local"), Overloaded)
    assert (gate.report().finished_total, gate.report().left_total) == (1, 3)


def test_retry_after_is_what_is_ahead_by_the_measured_speed() -> None:
    clock = Clock()
    gate = opened(clock, Limits(1, 3, 3))
    for _ in range(4):  # one in two seconds, with long pauses that do not count
        with gate.enter("local") as ticket:
            ticket.begin()
            clock.now += 2
        clock.now += 500
    with ExitStack() as stack:
        tickets = [stack.enter_context(gate.enter("local")) for _ in range(4)]
        tickets[0].begin()
        assert refused(lambda: gate.enter("local"), Overloaded) == 4 / 0.5
        assert gate.report().per_second == 0.5


def test_before_anything_has_ended_a_default_is_told() -> None:
    gate = opened(Clock(), Limits(1, 1, 1))
    with gate.enter("local"), gate.enter("local"):
        assert refused(lambda: gate.enter("local"), Overloaded) == 5


def test_the_longer_nothing_ends_the_longer_one_is_told_to_wait() -> None:
    clock = Clock()
    gate = opened(clock, Limits(1, 1, 1))
    with gate.enter("local") as ticket:
        ticket.begin()
        clock.now += 1
    with gate.enter("local"), gate.enter("local"):
        told = []
        for _ in range(3):
            clock.now += 100
            told.append(refused(lambda: gate.enter("local"), Overloaded))
        clock.now += 10_000
        assert told == sorted(set(told))
        assert refused(lambda: gate.enter("local"), Overloaded) == 600


def test_one_key_cannot_fill_the_queue() -> None:
    gate = opened(Clock(), Limits(1, 4, 2), a=Quota(), b=Quota())
    with ExitStack() as stack:
        for user in ("a/anna", "a/bert", "a"):
            stack.enter_context(gate.enter(user))
        refused(lambda: gate.enter("a/carl"), QuotaExceeded)
        for _ in range(2):
            stack.enter_context(gate.enter("b"))
        refused(lambda: gate.enter("b"), Overloaded)
    assert {k: v for k, v in gate.report().refused_total.items() if v} == {"key_queue": 1, "queue": 1}


def test_without_keys_the_queue_belongs_to_the_one_owner() -> None:
    gate = opened(Clock(), Limits(1, 4, 2))
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(gate.enter("local/anna"))
        refused(lambda: gate.enter("local"), Overloaded)


def test_a_key_may_have_so_many_at_once() -> None:
    gate = opened(Clock(), a=Quota(at_once=1), b=Quota())
    with gate.enter("a") as ticket:
        ticket.begin()
        refused(lambda: gate.enter("a/x"), QuotaExceeded)
        with gate.enter("b"):
            pass
    with gate.enter("a"):
        assert gate.report().refused_total["key_at_once"] == 1


def test_so_many_a_minute_and_retry_after_is_exact() -> None:
    clock = Clock()
    gate = opened(clock, a=Quota(per_minute=2))
    for _ in range(2):
        with gate.enter("a"):
            clock.now += 10
    assert refused(lambda: gate.enter("a"), QuotaExceeded) == 40
    clock.now += 39.5
    assert refused(lambda: gate.enter("a"), QuotaExceeded) == 1
    clock.now += 0.5
    with gate.enter("a"):
        assert refused(lambda: gate.enter("a"), QuotaExceeded) == 10


def test_a_server_that_stops_lets_nobody_in() -> None:
    gate = opened(Clock(), a=Quota(at_once=1))
    with gate.enter("a") as ticket:
        gate.stopping = True
        refused(lambda: gate.enter("a"), ServerStopping)
        ticket.begin()
    assert gate.report().refused_total["stopping"] == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=60))
def test_the_bounds_hold_whatever_comes(moves: list[tuple[str, int]]) -> None:
    """Each move enters (0, 1), begins the two oldest (2) or ends the oldest (3)."""
    gate = opened(Clock(), Limits(2, 4, 2), a=Quota(), b=Quota(at_once=3))
    inside: list[tuple[ExitStack, Ticket]] = []
    for owner, move in moves:
        if move == 3 and inside:
            inside.pop(0)[0].close()
        elif move == 2:
            for _, ticket in inside[:2]:
                ticket.begin()
        else:
            stack = ExitStack()
            try:
                inside.append((stack, stack.enter_context(gate.enter(owner))))
            except (Overloaded, QuotaExceeded) as error:
                assert 1 <= int(str(error.data["retry_after"])) <= 600
        assert gate.waiting + gate.running == len(inside) <= 6
        assert gate.running <= 2
    for stack, _ in inside:
        stack.close()
    assert (gate.running, gate.waiting) == (0, 0)
