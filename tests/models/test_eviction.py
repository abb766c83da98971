"""Who is let in, loaded and ended: by example, and in thousands of random days of a machine."""

import random

import pytest

from hoshikage.models.eviction import PASSED_MOST, PATIENCE_SECONDS, Bytes, State
from tests.models.pool_machine import PoolMachine, key

DAYS = 2000


def machine(*, ram: int = 10, vram: int = 0, max_loaded: int = 3) -> PoolMachine:
    return PoolMachine(Bytes(ram, vram), max_loaded)


def idle(made: PoolMachine, *names: str, size: int = 4) -> None:
    """Models that were asked once, one after the other."""
    for name in names:
        made.ask(name, size)
        made.loaded(name)
        made.now += 1
        made.answered(name)
    made.done.clear()


def test_a_hundred_requests_for_a_model_load_it_once_and_are_let_in_in_order() -> None:
    made = machine()
    for _ in range(100):
        made.ask("a", 4)
    assert made.done == [("start", "a"), *(("admit", "a", number) for number in range(100))]


def test_what_fits_is_loaded_beside_what_is_there() -> None:
    made = machine()
    idle(made, "a")
    made.ask("b", 6)
    assert made.done == [("start", "b"), ("admit", "b", 1)]


def test_the_least_recently_used_idle_model_goes_first_and_no_more_than_must() -> None:
    made = machine(ram=12)
    idle(made, "a", "b", "c")
    made.ask("a", 4)
    made.answered("a")
    made.done.clear()
    made.ask("d", 3)
    assert made.done == [("evict", "b")]
    made.ended("b")
    assert made.done[1:] == [("start", "d"), ("admit", "d", 4)]


def test_as_many_go_as_are_needed() -> None:
    made = machine(ram=12)
    idle(made, "a", "b", "c")
    made.ask("d", 8)
    assert made.done == [("evict", "a"), ("evict", "b")]


def test_the_number_of_models_is_a_limit_of_its_own() -> None:
    made = machine(ram=1000, max_loaded=2)
    idle(made, "a", "b")
    made.ask("c", 1)
    assert made.done == [("evict", "a")]


def test_the_memory_of_the_gpu_is_counted_by_itself() -> None:
    made = machine(ram=1000, vram=8)
    for name in ("a", "b"):
        made.ask(name, 1, 4)
        made.loaded(name)
        made.answered(name)
    made.done.clear()
    made.ask("c", 1, 0)
    made.ask("d", 1, 4)
    assert made.done == [("start", "c"), ("admit", "c", 2), ("evict", "a")]


def test_a_running_model_is_waited_for() -> None:
    made = machine()
    made.ask("a", 8)
    made.loaded("a")
    made.ask("b", 8)
    assert made.workers[key("a")].state is State.RUNNING and ("evict", "a") not in made.done
    made.answered("a")
    assert made.done[-1] == ("evict", "a")


def test_what_an_empty_machine_could_not_hold_is_refused_and_nothing_goes_for_it() -> None:
    made = machine()
    idle(made, "a")
    made.ask("b", 11)
    assert made.done == [("refuse", "b", 1)]


def test_requests_for_a_model_that_ends_wait_for_its_end_and_load_it_again() -> None:
    made = machine()
    idle(made, "a")
    made.workers[key("a")].state = State.STOPPING
    made.ask("a", 4)
    assert made.done == []
    made.ended("a")
    assert made.done == [("start", "a"), ("admit", "a", 1)]


def test_a_loaded_model_goes_on_while_another_waits_and_then_makes_way() -> None:
    made = machine()
    made.ask("a", 8)
    made.loaded("a")
    made.ask("b", 8)
    made.ask("a", 8)
    assert made.done[-1] == ("admit", "a", 2)
    made.now += PATIENCE_SECONDS
    made.ask("a", 8)
    assert made.done[-1] == ("admit", "a", 2)
    for _ in range(2):
        made.answered("a")
    made.ended("a")
    assert made.done[-3:] == [("evict", "a"), ("start", "b"), ("admit", "b", 1)]
    assert [each.key for each in made.queue] == [key("a")]


def test_patience_is_counted_in_requests_too() -> None:
    made = machine()
    made.ask("a", 8)
    made.loaded("a")
    made.ask("b", 8)
    for _ in range(PASSED_MOST + 5):
        made.ask("a", 8)
    assert len([each for each in made.queue if each.key == key("a")]) == 5


def test_a_model_that_has_just_come_stays_for_a_while_though_others_wait_for_longer() -> None:
    made = machine()
    made.ask("a", 8)
    made.ask("b", 8)
    made.now += 10 * PATIENCE_SECONDS
    made.loaded("a")
    made.ask("a", 8)
    assert made.done[-1] == ("admit", "a", 2)


def test_nobody_takes_the_room_that_an_overdue_request_waits_for() -> None:
    made = machine()
    made.ask("a", 6)
    made.loaded("a")
    made.ask("b", 9)
    made.ask("c", 1)
    assert made.done[-1] == ("admit", "c", 2)
    made.now += PATIENCE_SECONDS
    made.ask("d", 1)
    assert [each.key for each in made.queue] == [key("b"), key("d")]


@pytest.mark.parametrize("seed", range(8))
def test_in_every_random_day_all_are_served_in_order_and_nothing_goes_wrong(seed: int) -> None:
    choice = random.Random(seed)
    for _ in range(DAYS // 8):
        made = machine(ram=choice.randint(4, 20), vram=choice.choice([0, 10]), max_loaded=choice.randint(1, 4))
        sizes = {name: (choice.randint(1, 24), choice.choice([0, 0, 3, 12])) for name in "abcdef"}
        for _ in range(choice.randint(1, 60)):
            made.now += choice.choice([0, 0.1, 3, PATIENCE_SECONDS])
            if choice.random() < 0.5:
                name = choice.choice("aaabbcdef")
                made.ask(name, *sizes[name])
            else:
                made.step(choice)
        while made.step(choice):
            made.now += 1
        assert not made.queue, made.done
        for name in "abcdef":
            numbers = [each[2] for each in made.done if len(each) == 3 and each[:2] == ("admit", name)]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize("seed", range(8))
def test_under_endless_requests_for_two_models_that_exclude_each_other_both_are_served(seed: int) -> None:
    choice, made = random.Random(seed), machine(max_loaded=1)
    waits: dict[str, float] = {"a": 0, "b": 0}
    for _ in range(3000):
        made.now += 0.2
        made.ask(choice.choice("aaaaab"), 8)
        made.pass_time(choice)
        for each in made.queue:
            name = str(each.key[0])
            waits[name] = max(waits[name], made.now - each.since)
    swaps = sum(each[0] == "start" for each in made.done)
    assert max(waits.values()) < 6 * PATIENCE_SECONDS, waits
    assert 2 < swaps <= made.now / PATIENCE_SECONDS + 1, swaps
