"""Workers die at seeded points: their clients are told, others notice nothing, the next request is answered.

Those of embeddings are in test_embedding_rounds.py.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.rounds import ROUNDS, Manner, Round, Stage, Tally, groups, plan
from tests.crash.scene import Scene, descriptors, opened
from tests.crash.stages import ACTS
from tests.crash.victim import Missed, die, thaw, until

SEED, TRIES, GROUP = 5, 8, 5
PLAN = plan(SEED, ROUNDS)
HTTP_ROUNDS = [each for each in PLAN if each.stage is not Stage.EMBEDDING]
SETTLED = 5
"""So many rounds until the gateway has all memory that it needs."""
GROWTH_BYTES = 12_000_000
"""A pool of threads and its arenas grow in steps of 4 MB; what a round kept would be 40 times as much in the end."""


@pytest.fixture(scope="module")
def scene(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with opened(tmp_path_factory.mktemp("crash") / "home", starter) as made:
        yield made


def test_the_plan_reaches_every_stage_in_every_manner_and_is_the_same_each_time() -> None:
    assert [(each.stage, each.manner) for each in plan(SEED, ROUNDS)] == [(each.stage, each.manner) for each in PLAN]
    assert min(Counter(each.stage for each in PLAN).values()) >= 5
    assert len({(each.stage, each.manner) for each in PLAN}) == len(Stage) * len(Manner)


@pytest.mark.parametrize("rounds", groups(HTTP_ROUNDS, GROUP), ids=lambda rounds: f"from-{rounds[0].number}")
def test_a_worker_dies_alone(scene: Scene, tally: Tally, rounds: list[Round]) -> None:
    scene.assert_well()
    before = descriptors(scene.pid)
    for each in rounds:
        repeated(scene, tally, each)
        scene.assert_well()
        until(lambda: len(descriptors(scene.pid)) <= len(before), f"round {each.number} leaves descriptors", 10)
    assert max(scene.resident[SETTLED:], default=0) - scene.resident[:SETTLED][-1] < GROWTH_BYTES, scene.resident


def repeated(scene: Scene, tally: Tally, each: Round) -> None:
    """Until the worker has died in the stage."""
    for _ in range(TRIES):
        try:
            played(scene, each)
        except Missed as why:
            print(f"round {each.number}, {each.stage}, {each.manner}: {why}")  # noqa: T201  pytest shows it on failure
            tally.misses[each.stage] += 1
        else:
            tally.hits[each.stage, each.manner] += 1
            return
    raise AssertionError(f"round {each.number}: the worker was never met in {each.stage}")


def played(scene: Scene, each: Round) -> None:
    """One death, while a stream of the other model is under way."""
    act = ACTS[each.stage](scene, each.dice)
    pid = next(act)
    try:
        other = scene.other()
        die(pid, each.manner, scene.nudge())
    except BaseException:
        thaw(pid)
        raise
    next(act, None)
    other.assert_whole()
