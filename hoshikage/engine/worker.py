"""The worker process: reads commands, steps, says events. Started by `engine/client.py` with a socket's number
and its own process id.

Three threads: the reader takes commands in and tokenizes, the main thread steps, the speaker sends text.
"""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial
from queue import Empty, SimpleQueue

from hoshikage.engine import wire
from hoshikage.engine.constrained import Constraints, Inbox
from hoshikage.engine.desk import Desk, Work
from hoshikage.engine.idle import Idle
from hoshikage.engine.llama import library
from hoshikage.engine.progress import Teller
from hoshikage.engine.reader import Reader
from hoshikage.engine.retry import served, with_fewer_layers
from hoshikage.engine.speaker import Speaker
from hoshikage.errors import HoshikageError

PR_SET_PDEATHSIG = 1
SWITCH_SECONDS = 0.0005
"""How long a thread may hold the interpreter while another waits: the speaker must not hold up the next step."""

log = logging.getLogger("hoshikage.worker")
READ_BYTES = 1 << 18


def main() -> None:
    """Run until the gateway closes the socket, asks for it, or dies."""
    logging.basicConfig(level=os.environ.get("HOSHIKAGE_WORKER_LOG", "ERROR"), format="%(name)s: %(message)s")
    die_with_parent(int(sys.argv[2]))
    threading.excepthook = end_process
    sys.setswitchinterval(SWITCH_SECONDS)
    link = socket.socket(fileno=int(sys.argv[1]))
    frames = wire.commands()
    load = next(read(link, frames), None)
    if isinstance(load, wire.Load):
        serve(link, frames, load)


def die_with_parent(parent: int) -> None:
    """No worker outlives its gateway: by signal on Linux, by EOF on the socket everywhere. Ctrl-C is the gateway's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has died before the signal was asked for
        sys.exit(1)


def end_process(failure: threading.ExceptHookArgs) -> None:
    """A worker without its reader or speaker would hang, and its requests with it; out of memory, say, it ends."""
    with contextlib.suppress(MemoryError):
        log.error("the thread %s failed: %r", failure.thread and failure.thread.name, failure.exc_value)
    os._exit(1)


def serve(link: socket.socket, frames: "wire.Frames[wire.Command]", load: wire.Load) -> None:
    library.start()
    teller = Teller(link, load)
    try:
        with teller.watching():
            model, desk, ready = with_fewer_layers(load, partial(served, progress=teller.tell))
    except HoshikageError as error:
        teller.say(wire.LoadRefused(str(error.data["reason"])))
        return
    inbox: Inbox = SimpleQueue()
    speaker = Speaker(link, model.piece, lambda id_: inbox.put(wire.Cancel(id_)))
    speaker.say([ready])
    reader = Reader(model, desk, Constraints(model, inbox, speaker), inbox, speaker)
    threading.Thread(target=listen, args=(link, frames, reader), name="reader", daemon=True).start()
    step_until_closed(desk, inbox, speaker)
    desk.save_all()


def read(link: socket.socket, frames: "wire.Frames[wire.Command]") -> Iterator[wire.Command]:
    """The commands as they come, until the gateway closes the socket, with what was sent to it read or unread."""
    with contextlib.suppress(ConnectionResetError):
        while data := link.recv(READ_BYTES):
            yield from frames.feed(data)


def listen(link: socket.socket, frames: "wire.Frames[wire.Command]", reader: Reader) -> None:
    """The reader thread, until the gateway closes the socket."""
    for command in read(link, frames):
        reader.take(command)
    reader.inbox.put(None)


def step_until_closed(desk: Desk, inbox: Inbox, speaker: Speaker) -> None:
    idle = Idle()
    try:
        while take_all(desk, inbox, speaker, idle):
            if desk.busy:
                idle.worked()
                speaker.say(desk.step())
    except HoshikageError as error:
        log.error("%s", error)
        speaker.say(desk.refuse_all(str(error)))
        speaker.close()
        sys.exit(1)


def take_all(desk: Desk, inbox: Inbox, speaker: Speaker, idle: Idle) -> bool:
    """Take in what is there, waiting only when there is nothing to do. False when the gateway has gone."""
    try:
        item = inbox.get_nowait() if desk.busy else first(desk, inbox, idle)
        while item is not None:
            speaker.say(desk.take(item))
            item = inbox.get_nowait()
    except Empty:
        return True
    return False


def first(desk: Desk, inbox: Inbox, idle: Idle) -> Work | None:
    """The next command; while none comes, what is worth it is saved and what is not needed is given back."""
    while True:
        left = idle.left
        if left == 0:
            idle.rested(more=desk.rest())
            continue
        try:
            return inbox.get(timeout=left)
        except Empty:
            continue


if __name__ == "__main__":
    main()
