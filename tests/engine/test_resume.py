"""Resuming on real models: what is restored gives the logits that a cold run gives, and nothing is evaluated twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hoshikage.engine.llama.model import Model
from hoshikage.engine.sequence import Sequence
from tests.engine.driver import BATCH, Driver, cold, opened

Row = NDArray[np.floating[Any]]
TEXT = "The keeper of the lighthouse wrote down the wind, the tide and every ship that passed. " * 200
NEW = 6
SAME = 0.7
"""The shape of a batch alone moves logarithms by up to 0.3 on some CPUs; one wrong token of 600 moves them by 1.3."""


@pytest.fixture(scope="module", params=["dense", "windowed"])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    made = opened(request.getfixturevalue("starter" if request.param == "dense" else "gemma"))
    yield made
    made.close()


def prompt(model: Model, length: int, seed: int = 0) -> list[int]:
    return model.tokenize(f"{seed}: {TEXT}", add_special=True)[:length]


def apart(logits: Row, others: Row) -> float:
    """The greatest difference of the logarithms of the 100 most probable tokens' probabilities."""
    likely = np.argsort(others)[-100:]
    return float(np.abs(logprobs(logits) - logprobs(others))[likely].max())


def logprobs(logits: Row) -> Row:
    raised = logits.astype(np.float64) - float(logits.max())
    total = float(np.log(np.exp(raised).sum()))
    return raised - total


def chunk_ends(n_prompt: int, n_told: int) -> list[int]:
    """Where the chunks of a run end: the prefill's, then single tokens."""
    return [*range(BATCH, n_prompt, BATCH), *range(n_prompt, n_told + 1)]


@pytest.mark.parametrize("cut", ["end", "end-1", "end-5", "end-100", "half"])
def test_a_restored_prefix_gives_the_logits_of_a_cold_run(model: Model, tmp_path: Path, cut: str) -> None:
    first = Sequence(1, "a", prompt(model, 700), 4000, NEW)
    saving = Driver(model, tmp_path)
    saving.run(first)
    saving.save()
    saving.close()
    told = first.tokens[: first.n_past]
    keep = {"end": len(told), "half": len(told) // 2}.get(cut) or len(told) - int(cut[4:])
    again = Sequence(2, "a", [*told[:keep], 7, 8], 4000, 1)
    restoring = Driver(model, tmp_path)
    restoring.run(again)
    restoring.close()
    marks = [len(told), first.n_prompt - 1]
    kept = keep if not model.window else max((mark for mark in marks if mark <= keep), default=0)
    assert (again.n_cached, again.n_evaluated) == (kept, len(again.tokens) - 1 - kept)
    assert again.reuse.value == ("hit_snapshot" if kept else "miss_swa")
    rest = again.tokens[kept : again.n_prompt]
    expected = cold(model, told, chunk_ends(first.n_prompt, len(told)), kept, rest)
    assert apart(restoring.ends[2], expected) < SAME
    assert restoring.ends[2].argmax() == expected.argmax()


def test_a_conversation_goes_on_over_restarts(model: Model, tmp_path: Path) -> None:
    told = prompt(model, 560)
    for turn in range(3):
        driver = Driver(model, tmp_path)
        driver.run(asked := Sequence(turn, "a", [*told, *range(20, 40)], 4000, 10))
        driver.save()
        driver.close()
        assert asked.n_cached == (len(told) - 1 if turn else 0)
        told = asked.tokens
    assert len(list(tmp_path.rglob("*.kv"))) == 1


def test_an_earlier_turn_is_asked_again_after_restarts(model: Model, tmp_path: Path) -> None:
    """Under a sliding window the checkpoints of older snapshots are carried on."""
    told, asked = prompt(model, 560), []
    for turn in range(2):
        driver = Driver(model, tmp_path)
        asked.append(Sequence(turn, "a", [*told, *range(20, 40)], 4000, 10))
        driver.run(asked[-1])
        driver.save()
        driver.close()
        told = asked[-1].tokens
    driver = Driver(model, tmp_path)
    driver.run(again := Sequence(9, "a", asked[1].tokens[: asked[1].n_prompt], 4000, 1))
    driver.run(earlier := Sequence(10, "a", asked[0].tokens[: asked[0].n_prompt], 4000, 1))
    driver.close()
    assert (again.n_evaluated, earlier.n_evaluated) == (1, 1)


def test_a_growing_cache_keeps_its_sequences(model: Model) -> None:
    small, large = Driver(model, cells=512, most_cells=4096), Driver(model, cells=4096)
    for driver in (small, large):
        driver.run(*(Sequence(i, "a", prompt(model, 400, i), 4000, 5) for i in range(4)))
    assert (small.cache.context.cells, large.cache.context.cells) == (2048, 4096)
    for id_, logits in large.ends.items():
        assert apart(small.ends[id_], logits) < SAME
    small.close()
    large.close()


def test_requests_together_evaluate_their_common_prefix_once(model: Model) -> None:
    driver = Driver(model)
    shared = prompt(model, 600)
    asked = [Sequence(i, "a", [*shared, 30 + i, 31, 32], 4000, 4) for i in range(4)]
    driver.run(*asked)
    assert sum(s.n_evaluated for s in asked) == 603 + 3 * 3
    driver.close()


def test_a_shared_prefix_gives_the_logits_of_a_cold_run(model: Model) -> None:
    driver = Driver(model)
    told = prompt(model, 600)
    first, second = (Sequence(i, "a", [*told, *tail], 4000, 1) for i, tail in enumerate(([30, 31], [40, 41, 42])))
    driver.run(first, second)
    driver.close()
    assert second.n_cached == 600
    expected = cold(model, told, [256, 512, 600], 600, second.tokens[600:603])
    assert apart(driver.ends[1], expected) < SAME


def test_evicted_conversations_come_back(model: Model, tmp_path: Path) -> None:
    driver = Driver(model, tmp_path, cells=1024)
    told = [prompt(model, 300, i) for i in range(6)]
    for turn in range(2):
        for i, tokens in enumerate(told):
            driver.run(asked := Sequence(10 * turn + i, "a", [*tokens, 5, 6], 4000, 4))
            told[i] = asked.tokens
            assert turn == 0 or asked.n_cached >= 0.95 * asked.n_prompt
    driver.close()
