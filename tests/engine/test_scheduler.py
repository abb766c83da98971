"""The scheduler against a counting memory, without a model."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.engine.pace import FIRST_CHUNK
from hoshikage.engine.residents import Limits
from hoshikage.engine.scheduler import OVERTAKES, Chunk, Scheduler
from hoshikage.engine.sequence import Sequence, State
from tests.engine.fake_memory import CountingMemory


class Machine:
    """Runs a scheduler to the end of all sequences; every sampled token is 9."""

    def __init__(self, limits: Limits, *, cuts: bool = True, snapshots: bool = False) -> None:
        self.memory = CountingMemory(limits.cells, cuts=cuts, snapshots=snapshots)
        self.scheduler = Scheduler(limits, self.memory)
        self.admitted: list[Sequence] = []
        self.overtaken: Counter[int] = Counter()
        self.steps: list[list[Chunk]] = []

    def step(self) -> list[Chunk]:
        waiting = list(self.scheduler.waiting)
        chunks, admitted = self.scheduler.plan()
        self.admitted += admitted
        self.check_overtaking(waiting)
        self.memory.decode(chunks)
        self.scheduler.commit(chunks, {c.sequence.id: [9] for c in chunks if c.output})
        for chunk in chunks:
            if chunk.output and chunk.sequence.full:
                self.scheduler.end(chunk.sequence)
        self.steps.append(chunks)
        return chunks

    def check_overtaking(self, before: list[Sequence]) -> None:
        still = set(map(id, self.scheduler.waiting))
        for at, sequence in enumerate(before):
            if id(sequence) in still:
                self.overtaken[sequence.id] += sum(id(later) not in still for later in before[at + 1 :])
                assert self.overtaken[sequence.id] <= OVERTAKES

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
    assert sum(c.length for c in machine.step() if c.sequence.id == 1) == FIRST_CHUNK - 1


def test_an_idle_conversation_is_continued_in_place() -> None:
    machine = Machine(ROOMY)
    machine.scheduler.submit(sequence(0, 50, first=7))
    machine.run()
    told = machine.scheduler.residents.by_slot[0].tokens
    machine.scheduler.submit(Sequence(1, "a", [*told, 1, 2, 3], 1000, 1))
    machine.run()
    assert list(machine.scheduler.residents.by_slot) == [0]
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
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.booleans(), st.booleans())
def test_nobody_is_overtaken_by_more_than_eight(lengths: list[int], cuts: bool, snapshots: bool) -> None:
    machine = Machine(Limits(6, 128, 3, 32), cuts=cuts, snapshots=snapshots)
    for id_, length in enumerate(lengths):
        machine.scheduler.submit(sequence(id_, length, limit=64, first=1 + id_ % 3))
    machine.run()
    assert {s.id for s in machine.admitted} == set(range(len(lengths)))


def test_the_large_one_waits_for_at_most_eight_small_ones() -> None:
    machine = Machine(Limits(16, 128, 4, 64))
    machine.scheduler.submit(sequence(0, 20, new=90, limit=128))
    machine.step()
    machine.scheduler.submit(sequence(1, 100, new=4, limit=128))
    for id_ in range(2, 30):
        machine.scheduler.submit(sequence(id_, 4, new=2))
    machine.run()
    order = [s.id for s in machine.admitted]
    assert order.index(1) == 9


@pytest.mark.parametrize("cuts", [True, False])
def test_a_prefix_that_comes_eight_times_at_once_is_evaluated_once(cuts: bool) -> None:
    machine = Machine(Limits(16, 4096, 8, 512), cuts=cuts)
    for id_ in range(8):
        machine.scheduler.submit(Sequence(id_, "a", [*range(1, 1201), 5000 + id_, 1, 2], 4000, 3))
    machine.run()
    prefilled = sum(c.length for step in machine.steps for c in step if c.length > 1)
    assert prefilled == 1203 + 7 * 3
    assert all(s.n_cached == 1200 for s in machine.admitted[1:])


def test_forty_conversations_on_a_small_pool_come_back_with_their_prompts_cached() -> None:
    machine = Machine(Limits(32, 1600, 8, 64), snapshots=True)
    told = {id_: [id_ + 1, *range(99)] for id_ in range(40)}
    for turn in range(3):
        for id_, tokens in told.items():
            machine.scheduler.submit(asked := Sequence(100 * turn + id_, "a", [*tokens, 7, 8, 9], 1000, 5))
            machine.run()
            assert asked.n_cached >= 0.95 * asked.n_prompt or turn == 0
            told[id_] = asked.tokens


@pytest.mark.parametrize(("snapshots", "left"), [(True, 1), (False, 6)])
def test_beside_running_sequences_nothing_stays_idle_that_snapshots_hold(snapshots: bool, left: int) -> None:
    machine = Machine(Limits(16, 4096, 8, 512, thin=True), snapshots=snapshots)
    for id_ in range(6):
        machine.scheduler.submit(sequence(id_, 100, new=1))
        machine.run()
    assert len(machine.scheduler.residents.by_slot) == left
    machine.scheduler.submit(again := sequence(0, 100, new=1))
    machine.run()
    assert again.n_cached == 99


def test_where_it_came_from_is_told() -> None:
    machine = Machine(Limits(2, 128, 1, 64), snapshots=True)
    seen: list[str] = []
    for owner, first in (("a", 1), ("a", 1), ("b", 1), ("a", 2), ("a", 3), ("a", 1)):
        machine.scheduler.submit(asked := sequence(len(seen), 60, owner=owner, first=first, new=1))
        machine.run()
        seen.append(asked.reuse.value)
    assert seen == ["miss_prefix", "hit_ram", "miss_owner", "miss_prefix", "miss_prefix", "hit_snapshot"]


def test_a_lost_window_is_told() -> None:
    machine = Machine(ROOMY, cuts=False)
    seen: list[str] = []
    for id_, shared in enumerate((30, 30, 3)):
        machine.scheduler.submit(asked := Sequence(id_, "a", [*range(shared), *[100 + id_] * 30], 100, 1))
        machine.run()
        seen.append(asked.reuse.value)
    assert seen == ["miss_prefix", "miss_swa", "miss_prefix"]


def test_the_cache_grows_only_on_need_and_running_sequences_stay() -> None:
    machine = Machine(Limits(8, 64, 4, 64, most_cells=256))
    first = sequence(0, 30, new=100, limit=256)
    machine.scheduler.submit(first)
    machine.step()
    machine.scheduler.submit(sequence(1, 100, new=4, limit=256))
    machine.run()
    assert machine.memory.cells == 256
    assert first.n_evaluated == 30


def test_a_preempted_sequence_comes_back_from_its_snapshot() -> None:
    machine = Machine(Limits(8, 64, 4, 64), snapshots=True)
    for id_ in range(3):
        machine.scheduler.submit(sequence(id_, 10, new=40, limit=64))
    machine.run()
    assert machine.memory.saved
    assert sum(s.n_evaluated for s in dict.fromkeys(machine.admitted)) <= 3 * 10 + len(machine.memory.saved)


def test_ten_thousand_random_requests_and_cancels_leave_nothing_behind() -> None:
    rng = random.Random(5)
    machine = Machine(Limits(12, 400, 6, 64), snapshots=False)
    alive: list[Sequence] = []
    for id_ in range(10_000):
        alive.append(sequence(id_, rng.randint(1, 80), new=rng.randint(1, 30), first=rng.randint(1, 5)))
        machine.scheduler.submit(alive[-1])
        if rng.random() < 0.7:
            machine.scheduler.end(alive.pop(rng.randrange(len(alive))))
        if machine.scheduler.busy:
            machine.step()
        alive = [s for s in alive if s.state is not State.DONE]
    machine.run()
    residents = machine.scheduler.residents
    assert not [r for r in residents.by_slot.values() if r.busy]
    while residents.evict():
        pass
    assert (machine.memory.used, residents.ledger.total) == (0, 0)
