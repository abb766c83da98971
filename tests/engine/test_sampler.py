"""Each option changes the draw in its direction: llama.cpp's real samplers on made-up logits."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hoshikage.engine import sampler
from hoshikage.engine.llama import library
from hoshikage.engine.llama.model import Model
from hoshikage.engine.llama.placement import Placement
from hoshikage.sampling import NAMES, SamplingOptions
from tests.engine.made_up import Words, apply, drawn

LOGITS = [math.log(p) for p in (0.5, 0.25, 0.125, 0.0625, 0.0375, 0.025)]
PAST = [0, 1, 0, 2, 0]
LOOP = [3, 4, 0, 5, 3, 4]
"""Token 0 would prolong the repetition of 3, 4."""
OFF = {"top_k": 0, "top_p": 1.0, "temperature": 1.0}
TIMES = 300

Draws = Counter[int]


def draws(before: list[int], **options: Any) -> Draws:
    words = Words(len(LOGITS), suppressed=options.pop("suppressed", []), ending=[1])
    return drawn(SamplingOptions(**{**OFF, **options}), LOGITS, before=before, words=words, times=TIMES)


KEPT: list[tuple[dict[str, Any], list[int], set[int]]] = [
    ({}, [], {0, 1, 2, 3, 4, 5}),
    ({"temperature": 0.0}, [], {0}),
    ({"top_k": 2}, [], {0, 1}),
    ({"top_k": -1}, [], {0, 1, 2, 3, 4, 5}),
    ({"top_p": 0.6}, [], {0, 1}),
    ({"top_p": 0.0}, [], {0}),
    ({"top_p": 0.0, "min_keep": 3}, [], {0, 1, 2}),
    ({"min_p": 0.2}, [], {0, 1, 2}),
    ({"min_p": 1.0}, [], {0}),
    ({"typical_p": 0.2}, [], {1}),
    ({"typical_p": 0.2, "temperature": 0.0}, [], {1}),
    ({"top_n_sigma": 1.0}, [], {0, 1}),
    ({"top_n_sigma": 0.0}, [], {0, 1, 2, 3, 4, 5}),
    ({"xtc_probability": 1.0, "xtc_threshold": 0.1}, [], {2, 3, 4, 5}),
    ({"xtc_probability": 1.0, "xtc_threshold": 0.1, "temperature": 0.0}, [], {2}),
    ({"xtc_probability": 1.0, "xtc_threshold": 0.51}, [], {0, 1, 2, 3, 4, 5}),
    ({"temperature": 0.0, "repeat_penalty": 3.0}, [3], {0}),
    ({"temperature": 0.0, "repeat_penalty": 9.0}, PAST, {3}),
    ({"temperature": 0.0, "presence_penalty": 1.0}, [0], {1}),
    ({"temperature": 0.0, "frequency_penalty": 0.5}, PAST, {1}),
    ({"temperature": 0.0, "presence_penalty": 1.0, "repeat_last_n": 0}, [0], {0}),
    ({"temperature": 0.0, "presence_penalty": 1.0, "repeat_last_n": 1}, [0, 1], {0}),
    ({"temperature": 0.0, "presence_penalty": 1.0, "repeat_last_n": -1}, [0, *([5] * 100)], {1}),
    ({"temperature": 0.0, "dry_multiplier": 5.0, "dry_sequence_breakers": ()}, LOOP, {1}),
    ({"temperature": 0.0, "dry_multiplier": 5.0, "dry_base": 0.5, "dry_sequence_breakers": ()}, LOOP, {0}),
    ({"temperature": 0.0, "dry_multiplier": 5.0, "dry_allowed_length": 3, "dry_sequence_breakers": ()}, LOOP, {0}),
    ({"temperature": 0.0, "dry_multiplier": 5.0, "dry_penalty_last_n": 3, "dry_sequence_breakers": ()}, LOOP, {0}),
    ({"temperature": 0.0, "logit_bias": {5: 50.0, 77: 99.0, -1: 99.0}}, [], {5}),
    ({"logit_bias": {0: -100.0, 1: -200.0}}, [], {2, 3, 4, 5}),
    ({"ignore_eos": True}, [], {0, 2, 3, 4, 5}),
    ({"suppressed": [0, 2]}, [], {1, 3, 4, 5}),
    ({"mirostat": 1, "mirostat_tau": 0.0, "mirostat_eta": 1.0}, [], {0}),
    ({"mirostat": 2, "mirostat_tau": 0.0}, [], {0}),
    ({"mirostat": 2, "temperature": 0.0, "presence_penalty": 9.0}, [0], {0}),
    ({"mirostat": 2, "mirostat_tau": 1.1, "presence_penalty": 9.0, "top_k": 1}, [0], {0, 1}),
]


@pytest.mark.parametrize(("options", "before", "kept"), KEPT)
def test_an_option_leaves_just_these_tokens(options: dict[str, Any], before: list[int], kept: set[int]) -> None:
    assert set(draws(before, **options)) == kept


SHARES: list[tuple[dict[str, Any], int, float, float]] = [
    ({"temperature": 0.5}, 0, 0.65, 0.85),
    ({"temperature": 5.0}, 0, 0.15, 0.35),
    ({"dynatemp_range": 1.0}, 0, 0.30, 0.48),
    ({"dynatemp_range": 1.0, "dynatemp_exponent": 9.0}, 0, 0.95, 1.0),
    ({"xtc_probability": 0.5}, 0, 0.15, 0.35),
    ({"adaptive_target": 0.03}, 0, 0.0, 0.25),
    ({"adaptive_target": -1.0}, 0, 0.42, 0.58),
]


@pytest.mark.parametrize(("options", "token", "least", "most"), SHARES)
def test_an_option_moves_the_share_of_a_token(options: dict[str, Any], token: int, least: float, most: float) -> None:
    """Without an option token 0 has a share of 0.5."""
    assert least <= draws([], **options)[token] / TIMES <= most


def test_every_option_is_tried_in_these_tables() -> None:
    tried = {name for options in [row[0] for row in KEPT] + [row[0] for row in SHARES] for name in options}
    elsewhere = {"seed", "adaptive_decay"}
    assert NAMES - tried == elsewhere


def course(steps: int, **options: Any) -> list[int]:
    chain = sampler.chain(SamplingOptions(**{**OFF, "seed": 1, **options}), Words(len(LOGITS)))
    found = [apply(chain, LOGITS) for _ in range(steps)]
    chain.close()
    return found


def test_the_same_seed_draws_the_same_tokens_and_another_others() -> None:
    for how in ({}, {"mirostat": 1}, {"mirostat": 2}, {"xtc_probability": 0.5}, {"adaptive_target": 0.3}):
        assert course(50, **how, seed=7) == course(50, **how, seed=7)
        assert course(50, **how, seed=7) != course(50, **how, seed=8)


def test_adaptive_decay_is_how_long_the_past_counts() -> None:
    assert course(200, adaptive_target=0.3, adaptive_decay=0.0) != course(200, adaptive_target=0.3)


def test_mirostat_learns_as_fast_as_eta_says() -> None:
    assert course(50, mirostat=2, mirostat_tau=1.0, mirostat_eta=0.0) != course(50, mirostat=2, mirostat_tau=1.0)


def test_a_vocabulary_that_is_banned_altogether_still_gives_a_token() -> None:
    everything = {token: -100.0 for token in range(len(LOGITS))}
    for more in ({}, {"temperature": 0.0}, {"mirostat": 1}, {"mirostat": 2}, {"top_k": 3, "top_p": 0.5, "min_p": 0.1}):
        assert draws([], logit_bias=everything, **more).total() == TIMES


def test_a_breaker_stops_dry_in_a_real_vocabulary(starter: Path) -> None:
    library.start()
    model = Model(starter, Placement(n_gpu_layers=0))
    before = model.tokenize("red blue: green, red blue:", add_special=False)
    again = model.tokenize(" green", add_special=False)[0]
    logits = [2.0 if token == again else 0.0 for token in range(model.n_vocab)]

    def token(breakers: tuple[str, ...]) -> int:
        options = SamplingOptions(temperature=0.0, dry_multiplier=5.0, dry_sequence_breakers=breakers)
        chain = sampler.chain(options, model)
        chain.accept(before)
        return apply(chain, logits)

    assert token((":",)) == again
    assert token(()) != again
    model.close()


def test_the_order_is_llama_cpps() -> None:
    makers = [make.__name__ for make in sampler.LINKS.values()]
    assert " ".join(makers) == "bias penalties dry top_n_sigma top_k typical top_p min_p xtc temperature draw"
