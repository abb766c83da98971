"""The speaker over a socket pair: what is sent at once, and what is gathered."""

import socket
from collections.abc import Iterator

import pytest

from hoshikage.engine import wire
from hoshikage.engine.output import TextOutput
from hoshikage.engine.speaker import End, Item, Speaker, Token, Voice, merged

Heard = list[list[wire.Event]]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def voice(id_: int, *stops: str) -> Voice:
    return Voice(id_, TextOutput(stops), 1, return_tokens=False, submitted_at=0)


def frames(link: socket.socket) -> Heard:
    """All frames until the other side closes."""
    heard, reader = list[list[wire.Event]](), wire.events()
    while data := link.recv(1):  # a byte at a time: a frame is what one byte completes
        if events := list(reader.feed(data)):
            heard.append(events)
    return heard


def spoken(ends: tuple[socket.socket, socket.socket], steps: list[list[Item]]) -> tuple[Heard, list[int]]:
    stopped: list[int] = []
    speaker = Speaker(ends[0], lambda token: bytes([token]), stopped.append)
    for items in steps:
        speaker.say(items)
    speaker.close()
    ends[0].shutdown(socket.SHUT_WR)
    return frames(ends[1]), stopped


def test_text_that_goes_on_is_gathered_into_few_frames(ends: tuple[socket.socket, socket.socket]) -> None:
    one = voice(1)
    tokens: list[list[Item]] = [[Token(one, 97 + i, i)] for i in range(20)]
    heard, _ = spoken(ends, [*tokens, [End(one, "stop", ())]])
    texts = [event.text for events in heard for event in events if isinstance(event, wire.Text)]
    assert "".join(texts) == "abcdefghijklmnopqrst"
    assert len(heard) < 10
    assert isinstance(heard[-1][-1], wire.Done)


def test_all_sequences_of_a_step_share_a_frame(ends: tuple[socket.socket, socket.socket]) -> None:
    voices = [voice(i) for i in range(3)]
    heard, _ = spoken(ends, [[Token(each, 97, 1) for each in voices]])
    assert [[(e.id, e.text) for e in events if isinstance(e, wire.Text)] for events in heard] == [
        [(0, "a"), (1, "a"), (2, "a")]
    ]


def test_nothing_is_said_after_a_stop_string(ends: tuple[socket.socket, socket.socket]) -> None:
    one = voice(7, "cd")
    heard, stopped = spoken(ends, [[Token(one, 97 + i, i)] for i in range(9)])
    texts = [event.text for events in heard for event in events if isinstance(event, wire.Text)]
    [done] = [event for events in heard for event in events if isinstance(event, wire.Done)]
    assert ("".join(texts), done.reason, done.completion_tokens, stopped) == ("ab", "stop", 4, [7])


def test_texts_are_joined_by_sequence_and_the_rest_keeps_its_place() -> None:
    started = wire.Started(id=2, prompt_tokens=1, cached=0, limit=9)
    events: list[wire.Event] = [wire.Text(1, "a"), started, wire.Text(2, "x"), wire.Text(1, "b"), wire.Text(2, "y")]
    assert merged(events) == [wire.Text(1, "ab"), started, wire.Text(2, "xy")]
