"""The gateway's side of jobs: one process a job, however many clients follow it, ended when the last one leaves.

AT_ONCE of them work, WAITING more wait for their turn in the order in which they came, and what comes then is refused.
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable, Hashable

import msgspec

from hoshikage.errors import BadName, CreateRefused, HoshikageError, Overloaded, PullError, ServerStopping
from hoshikage.jobs.wire import CreateJob, Job, Line, PullJob, error_of, order
from hoshikage.models.hubs.base import Progress
from hoshikage.models.names import fold
from hoshikage.models.truth import Files
from hoshikage.processes import for_children

log = logging.getLogger("hoshikage.jobs")

COMMAND = (sys.executable, "-m", "hoshikage.jobs.child")
LINE_BYTES = 1 << 20
END_SECONDS = 10.0
ORDER_BYTES_MAX = 16 << 20
"""What is larger would be read by every command with the rest of model_map.json, ever after."""
AT_ONCE = 8
WAITING = 64
GARBAGE = (OSError, ValueError, TypeError, LookupError, msgspec.MsgspecError)
"""What a child that is not ours any more, or a line over LINE_BYTES, makes the reader raise."""
Steps = dict[tuple[str, str | None], Progress]
"""The latest step of each status and digest, in the order of the first ones."""


class Follower:
    """One client's view: a slow one misses steps between, never the latest of a digest."""

    def __init__(self, so_far: Steps) -> None:
        self.pending = dict(so_far)
        self.news = asyncio.Event()
        self.news.set()


class Running:
    """A job at work, or waiting for one of the `places`."""

    def __init__(self, given: bytes, places: asyncio.Semaphore) -> None:
        self.followers: set[Follower] = set()
        self.error: HoshikageError | None = None
        self.ended = False
        self._steps: Steps = {}
        self._stopped = False
        self._task = asyncio.create_task(self._work(given, places))

    def join(self) -> Follower:
        follower = Follower(self._steps)
        self.followers.add(follower)
        return follower

    def when_ended(self, then: "Callable[[Running], None]") -> None:
        self._task.add_done_callback(lambda _task: then(self))

    async def stop(self) -> None:
        """End the process, and wait for it. A second call, or one that is cancelled, does not disturb the first."""
        if not self._stopped:
            self._stopped = True
            self._task.cancel()
        await asyncio.wait({self._task})

    async def _work(self, given: bytes, places: asyncio.Semaphore) -> None:
        try:
            if places.locked():
                self._take(Progress(status="waiting for others to end"))
            async with places:
                self.error = await self._read(given)
        except GARBAGE as error:
            self.error = PullError(reason=f"its process failed: {error}")
        finally:
            self.ended = True
            self._wake()

    async def _read(self, given: bytes) -> HoshikageError | None:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=pipe,
            stdout=pipe,
            limit=LINE_BYTES,
            start_new_session=True,  # Ctrl-C is the gateway's
            env=for_children(os.environ),
        )
        assert child.stdin is not None  # noqa: S101
        assert child.stdout is not None  # noqa: S101
        error, last = None, ""
        try:
            child.stdin.write(given + b"\n")
            async for data in child.stdout:
                line = msgspec.json.decode(data, type=Line)
                if line.step is None:
                    error = error_of(line)
                else:
                    last = line.step.status
                    self._take(line.step)
        finally:
            await ended(child)
        if error is None and last != "success":
            error = PullError(reason=f"the process ended unexpectedly ({child.returncode}); try again, it goes on")
        return error

    def _take(self, step: Progress) -> None:
        key = (step.status, step.digest)
        self._steps[key] = step
        for follower in self.followers:
            follower.pending[key] = step
        self._wake()

    def _wake(self) -> None:
        for follower in self.followers:
            follower.news.set()


class Board:
    """All jobs. Pulls of one name are one job; every creation is its own."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._running: dict[Hashable, Running] = {}
        self._unfinished: set[Running] = set()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def follow(self, job: Job) -> AsyncGenerator[Progress, None]:
        """The job's steps from its start; leaving ends it, if nobody else follows. Raises what the job raises.

        Raises Overloaded for a job that is one too many, CreateRefused for one that is too large.
        """
        key = key_of(job)
        running = self._running.get(key)
        if running is None or running.ended:
            running = self._running[key] = self._started(job)
        follower = running.join()
        try:
            while not (running.ended and not follower.pending):
                await follower.news.wait()
                follower.news.clear()
                while follower.pending:
                    yield follower.pending.pop(next(iter(follower.pending)))
            if running.error:
                raise running.error
        finally:
            await self._leave(key, running, follower)

    async def close(self) -> None:
        """End all jobs, those too that nobody follows any more; whoever follows gets ServerStopping."""
        ending = tuple(self._unfinished)
        for each in ending:
            each.error = ServerStopping()
        await asyncio.gather(*(each.stop() for each in ending))

    def _started(self, job: Job) -> Running:
        if len(self._unfinished) >= AT_ONCE + WAITING:
            raise Overloaded()
        given = msgspec.json.encode(order(self._files, job))
        if len(given) > ORDER_BYTES_MAX:
            raise CreateRefused(reason=f"texts and messages are larger than {ORDER_BYTES_MAX} bytes together")
        running = Running(given, self._places)
        self._unfinished.add(running)
        running.when_ended(self._unfinished.discard)
        return running

    async def _leave(self, key: Hashable, running: Running, follower: Follower) -> None:
        running.followers.discard(follower)
        if running.followers:
            return
        if self._running.get(key) is running:
            del self._running[key]
        if not running.ended:
            await running.stop()


def key_of(job: Job) -> Hashable:
    if isinstance(job, CreateJob):
        return id(job)
    return "pull", folded(job), job.insecure


def folded(job: PullJob) -> str:
    """A name by our grammar without case; another, such as an address, as it is."""
    try:
        return fold(job.name)
    except BadName:
        return job.name.strip()


async def ended(child: asyncio.subprocess.Process) -> None:
    """Its input ends, which ends it; killed if it takes too long."""
    if child.stdin:
        child.stdin.close()
    end = asyncio.ensure_future(emptied(child))
    try:
        await asyncio.wait_for(asyncio.shield(end), END_SECONDS)
    except TimeoutError:
        pass
    finally:
        if not end.done():  # too late, or in a hurry
            child.kill()
        await end


async def emptied(child: asyncio.subprocess.Process) -> None:
    """Its end. Until 3.12 asyncio does not tell it before the last of the output is read."""
    while child.stdout and await child.stdout.read(LINE_BYTES):
        pass
    await child.wait()
