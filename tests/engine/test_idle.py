"""An idle worker saves in time: only work puts it off."""

from pathlib import Path

import pytest
from msgspec import structs

from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.engine.idle import REST_SECONDS, Idle
from tests.engine.test_engine import ask, load, said


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_being_asked_meanwhile_puts_no_rest_off() -> None:
    idle = Idle(clock := Clock())
    assert idle.left == REST_SECONDS
    clock.seconds += 0.2
    assert idle.left == pytest.approx(REST_SECONDS - 0.2)
    clock.seconds += 5
    assert idle.left == 0


def test_each_rest_comes_after_as_long_again_until_nothing_is_left() -> None:
    idle = Idle(clock := Clock())
    assert idle.left == REST_SECONDS
    clock.seconds += 5
    idle.rested(more=True)
    assert idle.left == REST_SECONDS
    idle.rested(more=False)
    clock.seconds += 5
    assert idle.left is None


def test_work_begins_the_wait_anew() -> None:
    idle = Idle(clock := Clock())
    idle.rested(more=False)
    idle.worked()
    clock.seconds += 5
    assert idle.left == REST_SECONDS


async def test_a_worker_that_is_asked_without_pause_saves_its_conversation(starter: Path, tmp_path: Path) -> None:
    place = wire.Place(folder=str(tmp_path), budget=1 << 30, ram=True)
    engine = await Engine.start(structs.replace(load(starter), places=(place,)))
    try:
        await said(engine, ask("The keeper of the lighthouse wrote down the wind and the tide. " * 20))
        while not list(tmp_path.rglob("*.kv")):
            await engine.statistics()
    finally:
        await engine.close()
