"""The scheduler against a counting memory, without a model."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.engine.scheduler import PREFILL_BESIDE_DECODE, Chunk, Limits, Scheduler
from hoshikage.engine.sequence import Sequence, State
from tests.engine.fake_memory import CountingMemory


class Machine:
    """Runs a scheduler to the end of all sequences; every sampled token is 9."""

    def __init__(self, limits: Limits, *, cuts: bool = True) -> None:
        self.memory = CountingMemory(limits.cells, cuts=cuts)
        self.scheduler = Scheduler(limits, self.memory)
        self.steps: list[list[Chunk]] = []

    def step(self) -> list[Chunk]:
        chunks, _ = self.scheduler.plan()
        self.memory.decode(chunks)
        self.scheduler.commit(chunks, {c.sequence.id: 9 for c in chunks if c.output})
        for chunk in chunks:
            if chunk.output and chunk.sequence.full:
                self.scheduler.end(chunk.sequence)
        self.steps.append(chunks)
        return chunks

    def run(self, most: int = 10_000) -> None:
        for _ in range(most):
            if not self.scheduler.busy:
                return
            assert self.step(), "a step without work"
        raise AssertionError("it does not come to an end")


def sequence(id_: int, n: int, *, new: int = 4, owner: str = "a", limit: int = 1000, first: int = 0) -> Sequence:
    return Sequence(id_, owner, [first or id_ + 100, *range(n - 1)], limit, new)


ROOMY = Limits(slots=16, cells=4096, running=8, batch=512)


def test_eight_chats_take_as_many_steps_as_one() -> None:
    machine = Machine(ROOMY)
    for id_ in range(8):
        machine.scheduler.submit(sequence(id_, 30, new=64))
    machine.run()
    assert len(machine.steps) == 64


def test_a_ninth_joins_without_pausing_the_others() -> None:
    machine = Machine(Limits(16, 4096, 9, 512))
    for id_ in range(8):
        machine.scheduler.submit(sequence(id_, 30, new=64))
    machine.step()
    machine.scheduler.submit(sequence(8, 300, new=4))
    for _ in range(4):
        chunks = machine.step()
        assert {c.sequence.id for c in chunks if c.output} >= set(range(8))


def test_prefill_beside_streams_is_chunked() -> None:
    machine = Machine(ROOMY)
    machine.scheduler.submit(sequence(0, 10, new=20))
    machine.step()
    machine.scheduler.submit(sequence(1, 400))
    assert sum(c.length for c in machine.step() if c.sequence.id == 1) == PREFILL_BESIDE_DECODE


def test_an_idle_conversation_is_continued_in_place() -> None:
    machine = Machine(ROOMY)
    machine.scheduler.submit(sequence(0, 50, first=7))
    machine.run()
    told = machine.scheduler.residents[0].tokens
    machine.scheduler.submit(Sequence(1, "a", [*told, 1, 2, 3], 1000, 1))
    machine.run()
    assert list(machine.scheduler.residents) == [0]
    assert machine.steps[-1][0].start == len(told)


def test_a_running_prefix_is_shared_by_copy() -> None:
    machine = Machine(ROOMY)
    machine.scheduler.submit(sequence(0, 200, new=50, first=7))
    machine.step()
    later = sequence(1, 220, first=7)
    machine.scheduler.submit(later)
    machine.step()
    assert later.n_cached == 200


def test_owners_never_share() -> None:
    machine = Machine(ROOMY)
    machine.scheduler.submit(sequence(0, 200, first=7))
    machine.run()
    other = sequence(1, 200, first=7, owner="b")
    machine.scheduler.submit(other)
    machine.run()
    assert other.n_cached == 0


def test_where_the_model_cannot_cut_the_prompt_is_evaluated_again() -> None:
    machine = Machine(ROOMY, cuts=False)
    machine.scheduler.submit(sequence(0, 50, first=7))
    machine.run()
    again = sequence(1, 50, first=7)
    machine.scheduler.submit(again)
    machine.run()
    assert again.n_cached == 0


def test_a_cancelled_sequence_leaves_its_prefix() -> None:
    machine = Machine(ROOMY)
    first = sequence(0, 900, first=7)
    machine.scheduler.submit(first)
    machine.step()
    machine.scheduler.end(first)
    again = sequence(1, 900, first=7)
    machine.scheduler.submit(again)
    machine.run()
    assert again.n_cached == 512


def test_a_waiting_sequence_can_be_cancelled() -> None:
    machine = Machine(Limits(4, 100, 1, 64))
    machine.scheduler.submit(sequence(0, 10))
    machine.step()
    waiting = sequence(1, 10)
    machine.scheduler.submit(waiting)
    machine.scheduler.end(waiting)
    machine.run()
    assert waiting.state is State.DONE
    assert waiting.slot == -1


def test_the_oldest_goes_on_when_cells_run_out() -> None:
    machine = Machine(Limits(8, 64, 4, 64))
    sequences = [sequence(id_, 10, new=40, limit=64) for id_ in range(4)]
    for each in sequences:
        machine.scheduler.submit(each)
    machine.run()
    assert all(each.n_generated == 40 for each in sequences)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_everyone_is_served_within_the_cells(seed: int) -> None:
    rng = random.Random(seed)
    machine = Machine(Limits(rng.randint(4, 12), rng.choice([64, 128, 300]), rng.randint(1, 4), rng.choice([16, 64])))
    sequences = []
    for id_ in range(60):
        length, limit = rng.randint(1, 40), rng.randint(50, 64)
        sequences.append(sequence(id_, length, new=rng.randint(1, 60), limit=limit, first=rng.randint(1, 3)))
        machine.scheduler.submit(sequences[-1])
        for _ in range(rng.randint(0, 3)):
            if machine.scheduler.busy:
                machine.step()
        if rng.random() < 0.2:
            machine.scheduler.end(rng.choice([s for s in sequences if s.state is not State.DONE] or [sequences[-1]]))
    machine.run()
    assert all(s.state is State.DONE for s in sequences)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.booleans())
def test_first_come_first_admitted(lengths: list[int], cuts: bool) -> None:
    machine = Machine(Limits(6, 128, 3, 32), cuts=cuts)
    for id_, length in enumerate(lengths):
        machine.scheduler.submit(sequence(id_, length, limit=64))
    machine.run()
    seen = dict.fromkeys(c.sequence.id for step in machine.steps for c in step)
    assert list(seen) == sorted(seen)
