"""One thread of low priority that does one job after another, and can be told to stop. Knows no file."""

import os
import sys
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait

LOWEST = 19

Stop = threading.Event
Job = Callable[[Stop], None]


class Stager:
    """Jobs by key: what waits or runs is not taken twice. A job looks at its Stop between its steps."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="stager", initializer=_step_back)
        self._jobs: dict[Hashable, Future[None]] = {}
        self._stop = Stop()

    @property
    def busy(self) -> bool:
        return any(not job.done() for job in self._jobs.values())

    def add(self, key: Hashable, job: Job) -> None:
        if (running := self._jobs.get(key)) is None or running.done():
            self._jobs[key] = self._executor.submit(job, self._stop)

    def stop(self) -> None:
        """End what runs, forget what waits, and return when the thread is idle; jobs may be added afterwards."""
        jobs, stopped = self._jobs, self._stop
        self._jobs, self._stop = {}, Stop()
        stopped.set()
        wait([job for job in jobs.values() if not job.cancel()])

    def close(self) -> None:
        self.stop()
        self._executor.shutdown()


def _step_back() -> None:
    """On Linux a thread has a priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
