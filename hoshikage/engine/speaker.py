"""The worker's second thread: turns sampled tokens into text and sends it, in at most 30 frames a second.

It runs while llama_decode of the next step has released the interpreter, so none of it is on the critical path. What
begins or ends is sent at once; text that goes on is gathered for some milliseconds, since every frame costs the gateway
more than reading it costs the reader.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import NamedTuple

from hoshikage.engine.logprobs import Logprobs
from hoshikage.engine.output import TextOutput
from hoshikage.engine.wire import Done, Event, Text, frame

Piece = Callable[[int], bytes]

GATHER_SECONDS = 0.033
"""How long text may wait for more of it; nobody reads faster."""


@dataclass(slots=True, eq=False)
class Voice:
    """What one sequence says, and the counts its end is reported with. Times in nanoseconds of the monotonic clock."""

    id: int
    output: TextOutput
    n_prompt: int
    return_tokens: bool
    submitted_at: int
    logprobs: Logprobs | None = None
    n_cached: int = 0
    n_evaluated: int = 0
    n_generated: int = 0
    n_drafted: int = 0
    n_accepted: int = 0
    reuse: str = ""
    started_at: int = 0
    first_at: int = 0
    last_at: int = 0
    begun: bool = False
    ended: bool = False


class Token(NamedTuple):
    """One sampled token, at a time of the monotonic clock in nanoseconds; with its logits, if they are asked for."""

    voice: Voice
    token: int
    at: int
    logits: bytes | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The sequence is over. `tokens` are its prompt and answer, if they were asked for."""

    voice: Voice
    reason: str
    tokens: tuple[int, ...]


Item = Token | End | Event


class Speaker:
    """Owns the sending side of the socket. `on_stop` hears of a stop string, with the sequence's id."""

    def __init__(self, link: socket.socket, piece: Piece, on_stop: Callable[[int], None]) -> None:
        self._link = link
        self._piece = piece
        self._on_stop = on_stop
        self._queue: SimpleQueue[list[Item] | None] = SimpleQueue()
        self._urgent = threading.Event()
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    def say(self, items: list[Item]) -> None:
        """Send them, at once if one of them is more than further text."""
        self._queue.put(items)
        if _urgent(items):
            self._urgent.set()

    def close(self) -> None:
        """Send what is queued, then end."""
        self._queue.put(None)
        self._urgent.set()
        self._thread.join()

    def _run(self) -> None:
        going_on = True
        while going_on:
            items, going_on = self._gathered()
            if events := merged([event for item in items for event in self._events(item)]):
                try:
                    self._link.sendall(frame(events))
                except OSError:
                    return
                self._urgent.wait(GATHER_SECONDS)

    def _gathered(self) -> tuple[list[Item], bool]:
        """All that is queued, at least one step's; and whether more will come."""
        gathered: list[Item] = []
        items = self._queue.get()
        self._urgent.clear()
        while items is not None:
            gathered += items
            if self._queue.empty():
                return gathered, True
            items = self._queue.get()
        return gathered, False

    def _events(self, item: Item) -> list[Event]:
        if isinstance(item, Token):
            return self._token(item)
        if isinstance(item, End):
            return self._end(item.voice, item.reason, item.tokens)
        return [item]

    def _token(self, item: Token) -> list[Event]:
        voice = item.voice
        if voice.ended or voice.output.stopped:
            return []
        voice.n_generated += 1
        voice.first_at = voice.first_at or item.at
        voice.last_at = item.at
        text = voice.output.feed(self._piece(item.token))
        if voice.logprobs and item.logits is not None:
            voice.logprobs.add(item.token, item.logits)
        said = _text(voice, text)
        if voice.output.stopped:
            self._on_stop(voice.id)
            if not voice.return_tokens:
                said += self._end(voice, "stop", ())
        return said

    def _end(self, voice: Voice, reason: str, tokens: tuple[int, ...]) -> list[Event]:
        if voice.ended:
            return []
        voice.ended = True
        said = _text(voice, voice.output.flush(), last=True)
        first = voice.first_at or voice.last_at
        done = Done(
            id=voice.id,
            reason="stop" if voice.output.stopped else reason,
            prompt_tokens=voice.n_prompt,
            cached=voice.n_cached,
            completion_tokens=voice.n_generated,
            prompt_ns=max(0, first - voice.started_at) if first else 0,
            eval_ns=max(0, voice.last_at - first),
            queue_ns=max(0, voice.started_at - voice.submitted_at) if voice.started_at else 0,
            evaluated=voice.n_evaluated,
            reuse=voice.reuse,
            drafted=voice.n_drafted,
            accepted=voice.n_accepted,
            tokens=tokens[: voice.n_prompt + voice.n_generated],
        )
        return [*said, done]


def merged(events: list[Event]) -> list[Event]:
    """The same with one Text a sequence, where its first one was."""
    whole: dict[int, Text] = {}
    order: list[Event | int] = []
    for event in events:
        if not isinstance(event, Text):
            order.append(event)
        elif first := whole.get(event.id):
            whole[event.id] = Text(event.id, first.text + event.text, first.logprobs + event.logprobs)
        else:
            whole[event.id] = event
            order.append(event.id)
    return [whole[each] if isinstance(each, int) else each for each in order]


def _urgent(items: list[Item]) -> bool:
    """Whether anything but the further text of a sequence that has begun is among them."""
    urgent = False
    for item in items:
        if not isinstance(item, Token):
            urgent = True
        elif not item.voice.begun:
            urgent = item.voice.begun = True
    return urgent


def _text(voice: Voice, text: str, *, last: bool = False) -> list[Event]:
    if voice.logprobs is None:
        return [Text(voice.id, text)] if text else []
    over = last or voice.output.stopped
    track = voice.logprobs
    entries = track.finish(text, stopped=voice.output.stopped) if over else track.release(text)
    return [Text(voice.id, text, entries)] if text or entries else []
