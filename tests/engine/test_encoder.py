"""The loop and its encoder in this process: what becomes of a sequence whose picture cannot be encoded."""

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.engine.encoder import Encoder
from hoshikage.engine.loop import Loop, Request
from hoshikage.engine.pictures import Picture, laid_out
from hoshikage.engine.wire import Generate, Refused
from hoshikage.errors import SequenceFailed
from hoshikage.sampling import SamplingOptions
from tests.engine.driver import BATCH, Driver, opened


@dataclass(frozen=True)
class Piece:
    id: str = "a"
    length: int = 16


def refused(_picture: Picture) -> object:
    raise SequenceFailed(reason="the projector could not encode the image")


def broken(_picture: Picture) -> object:
    raise ZeroDivisionError


def test_a_picture_that_is_not_encoded_for_whatever_reason_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _told: None)
    (picture,) = laid_out([Piece()], (), whole=False)[1]
    encoder = Encoder(broken)
    encoder.want(picture)
    encoder.finish()
    assert picture.failure == "it could not be encoded"


def test_what_is_planned_of_a_sequence_that_fails_is_not_evaluated(tmp_path: Path) -> None:
    driver = Driver(opened(make_tiny(tmp_path / "tiny.gguf", window=2048)))
    encoder = Encoder(refused)
    loop = Loop(driver.model, driver.cache, driver.scheduler, 2048, None, encoder)
    tokens, pictures = laid_out([[65] * 3 * BATCH, Piece()], (), whole=False)
    command = Generate(id=1, owner="a", prompt="", sampling=SamplingOptions())
    loop.take(Request(command, tokens, pictures=pictures))
    loop.step()
    encoder.finish()
    (told,) = loop.step()
    (idle,) = driver.scheduler.residents.by_slot.values()
    driver.close()
    assert isinstance(told, Refused)
    assert (loop.busy, idle.n_past, len(idle.tokens)) == (False, BATCH, BATCH)
