"""An engine of this process's own, for `run` where no server is; the same use case as the server's."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from hoshikage.cli.timings import Timings, of_usage
from hoshikage.conversation import ChatRequest, Finished, TextDelta, ThinkingDelta
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from hoshikage.services import Services

T = TypeVar("T")


class Wait(Protocol):
    def __call__(self, work: Coroutine[object, object, T]) -> T: ...


@contextmanager
def private_engine(settings: Settings) -> "Iterator[tuple[Services, Wait]]":
    """The services, and what runs their coroutines; asyncio runs in a second thread."""
    from hoshikage.services import open_services

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="engine")
    thread.start()

    def wait(work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    try:
        opening = open_services(replace(settings, ramdisk_path=None))  # copies are for a server that stays
        services = wait(_entered(opening))
        try:
            yield services, wait
        finally:
            wait(_left(opening))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def from_engine(services: "Services", request: ChatRequest, wait: Wait) -> Iterator[str | ThinkingDelta | Timings]:
    """The pieces of the answer, then how long it took. Raises what the chat raises."""
    from hoshikage.chat import chat

    pieces = pieces_of(chat(services.backend, request))
    try:
        while (piece := wait(_next(pieces))) is not None:
            yield piece
    finally:
        wait(pieces.aclose())


async def pieces_of(deltas: AsyncGenerator[object, None]) -> AsyncGenerator[str | ThinkingDelta | Timings, None]:
    started = time.perf_counter_ns()
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                yield delta.text
            elif isinstance(delta, ThinkingDelta):
                yield delta
            elif isinstance(delta, Finished):
                yield of_usage(delta.usage, time.perf_counter_ns() - started)


async def _entered(opening: "AbstractAsyncContextManager[Services]") -> "Services":
    return await opening.__aenter__()


async def _left(opening: "AbstractAsyncContextManager[Services]") -> None:
    await opening.__aexit__(None, None, None)


async def _next(pieces: AsyncGenerator[str | ThinkingDelta | Timings, None]) -> str | ThinkingDelta | Timings | None:
    return await anext(pieces, None)
