"""Sampling options: layers, ranges, and one link for each."""

import pytest

from hoshikage.engine.sampler import LINKS, RANDOM_SEED, penalised, seed
from hoshikage.errors import RequestError
from hoshikage.sampling import NAMES, SamplingOptions, merged


def test_every_option_has_a_link_in_the_chain() -> None:
    assert sorted(name for names in LINKS for name in names.split()) == sorted(NAMES)


def test_later_layers_win_and_other_names_are_passed_over() -> None:
    found = merged({"temperature": 1.0, "top_p": 0.5}, {"temperature": 0.2, "num_ctx": 4096})
    assert found == SamplingOptions(temperature=0.2, top_p=0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -0.1), ("top_p", 1.5), ("top_k", -2), ("top_k", 2**31), ("repeat_penalty", 0), ("seed", "x")],
)
def test_a_value_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(RequestError, match=f'option "{name}" is {value!r}'):
        merged({name: value})


def test_a_whole_number_is_taken_for_a_fraction() -> None:
    assert merged({"temperature": 1}).temperature == 1.0


def test_a_seed_never_lands_on_the_random_one() -> None:
    assert seed(RANDOM_SEED) != RANDOM_SEED
    assert seed(2**32 + 5) == 5
    assert 0 <= seed(-1) < RANDOM_SEED


def test_the_penalties_see_the_end_of_the_prompt() -> None:
    tokens = list(range(100))
    assert penalised(tokens, SamplingOptions(repeat_last_n=3)) == [97, 98, 99]
    assert penalised(tokens, SamplingOptions(repeat_last_n=-1)) == tokens
    assert penalised(tokens, SamplingOptions(repeat_last_n=0)) == []
