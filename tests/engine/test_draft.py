"""Prompt lookup on a fake model: a function of the tokens so far, which the drafts must not change."""

import random
from collections.abc import Callable

import pytest

from hoshikage.engine.draft import Costs, Drafter, Lookup
from hoshikage.engine.residents import Limits
from hoshikage.engine.scheduler import Scheduler
from hoshikage.engine.sequence import Sequence
from tests.engine.fake_memory import CountingMemory

Model = Callable[[list[int]], int]


def verified(model: Model, sequence: Sequence, draft: tuple[int, ...]) -> list[int]:
    """What a sampler that is `model` draws from the rows of a chunk."""
    told, drawn = list(sequence.tokens), list[int]()
    for guess in (*draft, None):
        drawn.append(model(told))
        told.append(drawn[-1])
        if drawn[-1] != guess:
            break
    return drawn


def run(
    model: Model, prompts: list[list[int]], drafter: Drafter | None, *, new: int = 120, cost: int = 20
) -> list[list[int]]:
    memory = CountingMemory(4096)
    scheduler = Scheduler(Limits(8, 4096, 4, 256), memory)
    scheduler.drafter = drafter
    sequences = [Sequence(id_, "a", list(prompt), 1000, new) for id_, prompt in enumerate(prompts)]
    for each in sequences:
        scheduler.submit(each)
        if drafter:
            drafter.open(each.id)
    while scheduler.busy:
        chunks, _ = scheduler.plan()
        memory.decode(chunks)
        drawn = {c.sequence.id: verified(model, c.sequence, c.draft) for c in chunks if c.output}
        scheduler.commit(chunks, drawn)
        if drafter and all(c.output for c in chunks):
            drafter.learn({c.sequence.id: c.length for c in chunks}, 1000 + cost * sum(c.length for c in chunks))
            for chunk in chunks:
                drafter.count(len(chunk.draft), len(drawn[chunk.sequence.id]) - 1)
        for each in [s for s in scheduler.running if s.full]:
            scheduler.end(each)
    return [s.tokens for s in sequences]


def copying(tokens: list[int]) -> int:
    """Repeats what is 50 tokens back, with a slip now and then."""
    return tokens[-50] if len(tokens) % 17 else len(tokens)


def hashing(tokens: list[int]) -> int:
    return hash(tuple(tokens[-4:])) % 7


@pytest.mark.parametrize("model", [copying, hashing])
@pytest.mark.parametrize("prompts", [1, 2, 3])
def test_drafts_change_no_token(model: Model, prompts: int) -> None:
    rng = random.Random(prompts)
    told = [[rng.randrange(50) for _ in range(60)] for _ in range(prompts)]
    assert run(model, told, Drafter()) == run(model, told, None)


def test_copied_text_is_drafted_and_accepted() -> None:
    drafter = Drafter()
    run(copying, [list(range(100, 160))], drafter)
    assert drafter.accepted > 60
    assert drafter.accepted > 0.6 * drafter.drafted


def test_text_without_repetition_is_left_alone() -> None:
    drafter = Drafter()
    run(lambda tokens: 1000 + len(tokens), [list(range(100, 160))], drafter)
    assert drafter.drafted == 0


def test_guesses_that_never_come_true_are_given_up() -> None:
    drafter, rng = Drafter(), random.Random(1)
    run(lambda tokens: rng.randrange(3), [[0, 1, 2] * 20], drafter, new=900, cost=600)
    assert drafter.drafted < 300


def test_a_batch_that_costs_as_much_as_its_tokens_is_never_drafted() -> None:
    drafter = Drafter()
    for length in (1, 2, 4, 8, 16, 32, 64):
        drafter.costs.learn(length, 1000 * length)
    drafter.open(1)
    assert drafter.draft(Sequence(1, "a", [*range(50), *range(40)], 1000), 0) == ()


def test_what_followed_last_is_guessed() -> None:
    lookup = Lookup()
    assert lookup.guess([1, 2, 3, 4, 5], 3) is None
    guess = lookup.guess([1, 2, 3, 4, 5, 1, 2, 3], 2)
    assert guess is not None
    assert (guess.tokens, guess.match) == ((4, 5), 3)


def test_costs_between_measurements_are_interpolated() -> None:
    costs = Costs()
    costs.learn(1, 100)
    costs.learn(9, 500)
    assert (costs.ns(5), costs.ns(9)) == (300, 500)
    assert costs.ns(17) > 500
