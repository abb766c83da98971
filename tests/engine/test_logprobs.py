"""Log probabilities: their numbers against numpy, and their step with the text."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hoshikage.engine import sampler
from hoshikage.engine.llama import library
from hoshikage.engine.llama.batch import Batch
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.context import Context
from hoshikage.engine.llama.model import Model
from hoshikage.engine.llama.placement import Placement
from hoshikage.engine.logprobs import LEAST, Logprobs, scored
from hoshikage.engine.output import TextOutput
from hoshikage.engine.picker import Picker
from hoshikage.sampling import SamplingOptions

PIECES = (b"Hello", b" wor", b"ld", b" END", b"\xe3\x81", b"\x82", b"EN", b"D", b"x END y", b"")
FLAT = bytes(4 * len(PIECES))


def piece(token: int, *, special: bool = False) -> bytes:
    return PIECES[token] or (b"<end>" if special else b"")


def spoken(tokens: list[int], *stops: str) -> list[tuple[str, list[bytes]]]:
    """What is sent for each token, and at the end: the text and its tokens' bytes."""
    output, logprobs, sent = TextOutput(stops), Logprobs(0, piece), []
    for token in tokens:
        text = output.feed(piece(token))
        logprobs.add(token, FLAT)
        entries = logprobs.finish(text, stopped=True) if output.stopped else logprobs.release(text)
        sent.append((text, [entry.data for entry in entries]))
    rest = output.flush()
    sent.append((rest, [entry.data for entry in logprobs.finish(rest, stopped=output.stopped)]))
    return [each for each in sent if any(each)]


def test_each_text_comes_with_its_tokens() -> None:
    assert spoken([0, 1, 2]) == [("Hello", [b"Hello"]), (" wor", [b" wor"]), ("ld", [b"ld"])]


def test_a_character_of_two_tokens_comes_with_both() -> None:
    assert spoken([0, 4, 5]) == [("Hello", [b"Hello"]), ("あ", [b"\xe3\x81", b"\x82"])]


def test_held_back_tokens_come_with_the_text_that_was_held_back() -> None:
    assert spoken([0, 6, 2], "END") == [("Hello", [b"Hello"]), ("ENld", [b"EN", b"ld"])]
    assert spoken([0, 6], "END") == [("Hello", [b"Hello"]), ("EN", [b"EN"])]


def test_the_tokens_of_a_stop_string_are_left_out() -> None:
    assert spoken([0, 6, 7], "END") == [("Hello", [b"Hello"])]
    assert spoken([0, 4, 5], "あ") == [("Hello", [b"Hello"])]


def test_a_token_that_a_stop_string_cuts_into_is_cut_too() -> None:
    assert spoken([0, 3], "END") == [("Hello", [b"Hello"]), (" ", [b" "])]
    assert spoken([0, 8], "END") == [("Hello", [b"Hello"]), ("x ", [b"x "])]


def test_an_unfinished_character_at_the_end_is_reported_without_text() -> None:
    assert spoken([0, 4]) == [("Hello", [b"Hello"]), ("", [b"\xe3\x81"])]


def test_a_token_that_cannot_be_has_a_finite_logprob() -> None:
    own, best = scored(np.array([0.0, -np.inf, -1.0], np.float32).tobytes(), 1, 3)
    assert own == LEAST
    assert [token for token, _ in best] == [0, 2, 1]


def test_an_alternative_that_ends_the_answer_is_named() -> None:
    logprobs = Logprobs(1, piece)
    logprobs.add(0, np.array([0.0] * 9 + [5.0], np.float32).tobytes())
    assert [data for data, _ in logprobs.release("Hello")[0].top] == [b"<end>"]


@pytest.fixture(scope="module")
def real(starter: Path) -> Iterator[tuple[Model, Context]]:
    library.start()
    model = Model(starter, Placement(n_gpu_layers=0))
    context = Context(model, Computing(2), cells=256, batch=64, slots=1)
    yield model, context
    context.close()
    model.close()


def test_the_starters_logprobs_are_those_of_numpy(real: tuple[Model, Context]) -> None:
    model, context = real
    batch = Batch(64)
    row = batch.add_many(model.tokenize("The capital of France is", add_special=True), 0, 0, outputs=1)
    assert context.decode(batch)
    logits = np.frombuffer(context.logits(row), np.float32).astype(np.float64)
    expected = np.log(np.exp(logits) / np.exp(logits).sum())
    own, best = scored(context.logits(row), 7, 20)
    order = np.argsort(-logits)[:20]
    assert own == pytest.approx(expected[7], abs=1e-5)
    assert [logprob for _, logprob in best] == pytest.approx(expected[order].tolist(), abs=1e-5)
    assert 0.5 < sum(np.exp([logprob for _, logprob in best])) <= 1.0
    assert b" Paris" in [model.piece(token) for token, _ in best]


def test_a_picker_keeps_the_models_logits_not_the_samplers(real: tuple[Model, Context]) -> None:
    model, context = real
    batch = Batch(64)
    row = batch.add_many(model.tokenize("The capital of France is", add_special=True), 0, 0, outputs=1)
    context.cut(0, 0)
    assert context.decode(batch)
    before = context.logits(row)
    banned = int(np.frombuffer(before, np.float32).argmax())
    picker = Picker(sampler.chain(SamplingOptions(logit_bias={banned: -100.0}), model), keeps_logits=True)
    assert picker.pick(context, row) != banned
    assert picker.logits is not None
    assert picker.logits.popleft() == before
    picker.close()
