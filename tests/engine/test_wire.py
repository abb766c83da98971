"""Frames: what goes in comes out, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.engine import wire
from hoshikage.sampling import SamplingOptions


@given(st.lists(st.text(max_size=50), max_size=20), st.integers(1, 40))
def test_frames_come_out_whole_however_they_are_cut(texts: list[str], size: int) -> None:
    data = b"".join(wire.frame([wire.Text(i, text), wire.Text(i, "x")]) for i, text in enumerate(texts))
    frames = wire.events()
    found = [event for i in range(0, len(data), size) for event in frames.feed(data[i : i + size])]
    assert [event.text for event in found if isinstance(event, wire.Text)] == [t for text in texts for t in (text, "x")]


def test_a_command_keeps_all_its_fields() -> None:
    sent = wire.Generate(id=3, owner="o", prompt="星影", sampling=SamplingOptions(seed=7), stop=("a",), context=(1, 2))
    assert list(wire.commands().feed(wire.frame([sent]))) == [sent]


def test_an_absurd_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="4294967295 bytes"):
        list(wire.events().feed(b"\xff\xff\xff\xff"))
