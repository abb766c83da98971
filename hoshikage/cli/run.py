"""`hoshikage run NAME [PROMPT]`: chat in the terminal, with the running server or a private engine."""

import argparse
import asyncio
import http.client
import os
import sys
import threading
import urllib.parse
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec
from msgspec import Struct

from hoshikage.cli.running import find_server
from hoshikage.cli.text import say, warn
from hoshikage.conversation import ChatRequest, Message, TextDelta
from hoshikage.errors import ModelNotFound, RequestError
from hoshikage.settings import Settings

HELP = "chat with a model"
ENDINGS = {"/bye", "/exit"}

if TYPE_CHECKING:
    from hoshikage.services import Services

T = TypeVar("T")
Reply = Callable[[list[Message]], Iterator[str]]


class Wait(Protocol):
    def __call__(self, work: Coroutine[object, object, T]) -> T: ...


class Line(Struct):
    """What of a line of /api/chat is needed here."""

    message: Message | None = None
    error: str | None = None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("prompt", metavar="PROMPT", nargs="*", help="asked once; without it, a conversation starts")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    server = find_server(os.environ)
    prompt = " ".join(args.prompt) or ("" if sys.stdin.isatty() else sys.stdin.read())
    if server is None:
        warn(settings.language, "private")
        return with_private_engine(args.name, prompt, settings)
    talk(prompt, lambda messages: from_server(server.addresses[0], args.name, messages), settings.language)
    return 0


def talk(prompt: str, reply: Reply, language: str) -> None:
    """Answer `prompt`, or converse until the user leaves."""
    messages: list[Message] = []
    for asked in [prompt] if prompt.strip() else asked_by_user(language):
        messages.append(Message(role="user", content=asked))
        parts = []
        for part in reply(messages):
            parts.append(part)
            print(part, end="", flush=True)
        print()
        messages.append(Message(role="assistant", content="".join(parts)))


def asked_by_user(language: str) -> Iterator[str]:
    say(language, "bye_hint")
    while True:
        try:
            asked = input(">>> ").strip()
        except EOFError:
            return
        if asked in ENDINGS:
            return
        if asked:
            yield asked


def from_server(address: str, model: str, messages: list[Message]) -> Iterator[str]:
    """The pieces of the server's answer. Raises ModelNotFound or RequestError with the server's text."""
    url = urllib.parse.urlsplit(address)
    link = http.client.HTTPConnection(url.hostname or "", url.port)
    body = msgspec.json.encode({"model": model, "messages": messages})
    try:
        link.request("POST", "/api/chat", body, {"content-type": "application/json"})
        answer = link.getresponse()
        for line in answer:
            found = msgspec.json.decode(line, type=Line)
            if found.error:
                raise ModelNotFound(name=model) if answer.status == 404 else RequestError(reason=found.error)
            if found.message and found.message.content:
                yield found.message.content
    finally:
        link.close()


def with_private_engine(model: str, prompt: str, settings: Settings) -> int:
    """The same use case as the server's, in this process and for its lifetime; asyncio runs in a second thread."""
    from hoshikage.services import open_services

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="engine")
    thread.start()

    def wait(work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    opening = open_services(settings)
    services = wait(_entered(opening))
    try:
        services.registry.find(model)
        talk(prompt, lambda messages: from_engine(services, model, messages, wait), settings.language)
    finally:
        wait(_left(opening))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    return 0


def from_engine(services: "Services", model: str, messages: list[Message], wait: Wait) -> Iterator[str]:
    from hoshikage.chat import chat

    texts = texts_of(chat(services.backend, ChatRequest(model=model, messages=tuple(messages))))
    try:
        while (part := wait(_next(texts))) is not None:
            yield part
    finally:
        wait(texts.aclose())


async def _entered(opening: "AbstractAsyncContextManager[Services]") -> "Services":
    return await opening.__aenter__()


async def _left(opening: "AbstractAsyncContextManager[Services]") -> None:
    await opening.__aexit__(None, None, None)


async def _next(texts: AsyncGenerator[str, None]) -> str | None:
    return await anext(texts, None)


async def texts_of(deltas: AsyncGenerator[object, None]) -> AsyncGenerator[str, None]:
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                yield delta.text
