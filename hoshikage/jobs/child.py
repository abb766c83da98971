"""The process of one job: `python -m hoshikage.jobs.child`, an Order on its input, Lines on its output.

It ends when its input ends, since then the gateway is gone or nobody waits any more. What it leaves is what a kill
leaves: the next pull goes on from there.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing

import msgspec

from hoshikage.errors import HoshikageError, PullError
from hoshikage.jobs.wire import Job, Line, Order, PullJob, line_of
from hoshikage.models.hubs.base import Progress
from hoshikage.models.pull import pull
from hoshikage.models.registry import Registry

GRACE_SECONDS = 5.0
"""How long the end may take to stop what the job has started."""


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that generators are closed
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        with closing(steps_of(order.job, Registry(order.files))) as steps:
            for step in steps:
                tell(Line(step=step))
    except HoshikageError as error:
        tell(line_of(error))
    except OSError as error:
        tell(line_of(PullError(reason=str(error))))
    return 0


def steps_of(job: Job, registry: Registry) -> Generator[Progress, None, object]:
    """What the job does. Raises HoshikageError."""
    if isinstance(job, PullJob):
        return pull(job.name, registry, insecure=job.insecure)
    from hoshikage.models.create import create

    return create(job.recipe, registry, lambda name: pull(name, registry))


def tell(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):  # not by sys.stdin, whose lock this thread would hold at the exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
