"""The end of a server: what the signals do, in which order, and until when. Knows no HTTP."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from hoshikage.cli.notify import READY, STOPPING, notify
from hoshikage.cli.text import say

if TYPE_CHECKING:
    from hoshikage.services import Services

LAST_WORDS_SECONDS = 5.0
"""How long the error frames of what was cut off may take to reach their clients."""
NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """SIGINT or SIGTERM: no new request, running answers have STOP_TIMEOUT, then the rest ends. A second one: at once.

    Pulls and creations end with the first signal: the next pull goes on from what has arrived.
    """

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._seconds = services.settings.stop_timeout_seconds
        self._asked = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None

    async def serve(self, server: Coroutine[object, object, None]) -> None:
        """Run the server to its end, which comes with a signal; clients that do not read are not waited for."""
        loop = asyncio.get_running_loop()
        for number in NUMBERS:
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, self._on_signal)
        running = asyncio.ensure_future(server)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({running}, timeout=self._seconds + 2 * LAST_WORDS_SECONDS)
            if running.done():
                running.result()
        finally:
            for each in (running, asked):
                each.cancel()
            await asyncio.gather(running, asked, return_exceptions=True)

    async def wait(self) -> None:
        """Until the first signal. The server calls it when it listens."""
        notify(READY, os.environ)
        await self._asked.wait()

    def _on_signal(self) -> None:
        if self._asked.is_set():
            os._exit(1)
        admission, language = self._services.admission, self._services.settings.language
        notify(STOPPING, os.environ)
        admission.stopping = True
        if admission.running + admission.waiting:
            say(language, "stopping", count=admission.running + admission.waiting, seconds=f"{self._seconds:g}")
        self._asked.set()
        self._ending = asyncio.ensure_future(self._services.board.close())
        asyncio.get_running_loop().call_later(self._seconds, admission.over.set)
