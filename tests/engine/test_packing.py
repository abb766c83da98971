"""Packing inputs into calls, fitting them into a window, and finishing vectors: properties, without a model."""

import itertools
import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.engine.inputs import fit, fit_pair
from hoshikage.engine.packing import PACK_TOKENS, Packer, finished
from hoshikage.errors import InputTooLong, RequestError

CLS, SEP = 101, 102
Inputs = st.lists(st.integers(1, 600).map(lambda n: [*range(n)]), max_size=30)


@given(Inputs, st.lists(st.sampled_from([128, 512]), min_size=1), st.integers(1, 64))
def test_every_token_is_handed_out_once_and_in_order(inputs: list[list[int]], sizes: list[int], most: int) -> None:
    packer, calls = Packer(inputs), 0
    given_out: list[list[int]] = [[] for _ in inputs]
    while not packer.done:
        parts = packer.call(sizes[calls % len(sizes)], most, chunked=True)
        calls += 1
        assert len(parts) <= most
        for part in parts:
            assert part.position == len(given_out[part.number])
            given_out[part.number] += part.tokens
            assert packer.complete(part) == (given_out[part.number] == inputs[part.number])
    assert given_out == inputs


@given(Inputs)
def test_an_input_over_the_pack_goes_alone_and_short_ones_together(inputs: list[list[int]]) -> None:
    packer = Packer(inputs)
    calls = []
    while not packer.done:
        calls.append([len(part.tokens) for part in packer.call(10_000, 64, chunked=False)])
    assert all(sum(call) <= PACK_TOKENS or len(call) == 1 for call in calls)
    assert all(sum(call) + following[0] > PACK_TOKENS for call, following in itertools.pairwise(calls))


@given(st.integers(1, 50), st.integers(2, 60))
def test_what_is_cut_keeps_its_first_and_last_special_token(length: int, limit: int) -> None:
    tokens = [CLS, *range(length), SEP]
    fitted = fit(tokens, limit, (SEP,), truncate=True)
    assert (fitted.tokens[0], fitted.tokens[-1]) == (CLS, SEP)
    assert fitted.truncated == (len(tokens) > limit)
    assert len(fitted.tokens) == min(len(tokens), limit)


def test_a_pair_loses_the_end_of_its_document_only() -> None:
    fitted = fit_pair([CLS, 1, 2, SEP], [7, 8, 9], [SEP], 7, truncate=True)
    assert fitted.tokens == [CLS, 1, 2, SEP, 7, 8, SEP]
    assert fitted.truncated


def test_what_must_not_be_cut_is_refused_with_both_numbers() -> None:
    with pytest.raises(InputTooLong, match="the input length exceeds the context length") as caught:
        fit([CLS, 5, 6, SEP], 3, (SEP,), truncate=False)
    assert caught.value.data == {"tokens": 4, "limit": 3}
    with pytest.raises(InputTooLong):
        fit_pair([CLS], [7, 8], [SEP], 3, truncate=False)


def test_where_no_text_would_be_left_nothing_is_evaluated() -> None:
    with pytest.raises(RequestError, match="input after truncation exceeds maximum context length"):
        fit_pair([CLS, 1, 2, SEP], [7], [SEP], 5, truncate=True)
    with pytest.raises(RequestError, match="the input has no tokens"):
        fit([], 5, (), truncate=True)


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40), st.integers(-1, 50))
def test_a_finished_vector_has_the_length_one(values: list[float], dimensions: int) -> None:
    made = finished(array("f", values), dimensions, normalise=True)
    assert len(made) == (dimensions if 0 < dimensions < len(values) else len(values))
    assert math.hypot(*made) == pytest.approx(1.0, abs=1e-5) or not any(values[: len(made)])


def test_not_a_number_is_no_vector() -> None:
    with pytest.raises(RequestError, match="embedding contains NaN or Inf values"):
        finished(array("f", [1.0, math.nan]), 0, normalise=True)
