"""`hoshikage run NAME [PROMPT]`: chat in the terminal, with the running server or a private engine."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from hoshikage.cli.asking import asked as ask
from hoshikage.cli.asking import asked_lines
from hoshikage.cli.ps import Reply as Running
from hoshikage.cli.pull import followed, steps, view
from hoshikage.cli.running import find_server
from hoshikage.cli.text import say, warn
from hoshikage.cli.timings import Timings, summary
from hoshikage.conversation import ChatRequest, Message, ThinkingDelta
from hoshikage.durations import keep_alive_seconds
from hoshikage.errors import FileMissing, HoshikageError, ModelNotFound, RequestError
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from hoshikage.cli.loading import Look
    from hoshikage.constraints import Constraint
    from hoshikage.services import Services

HELP = "chat with a model"
ENDINGS = {"/bye", "/exit"}
LOOK_SECONDS = 1.0
"""How long the server may take to tell how far a load is."""
IGNORED = ("nowordwrap", "think", "hidethinking", "truncate", "dimensions")
"""Flags of Ollama's `run` for what is not there."""

Piece = str | ThinkingDelta | Timings
"""Of an answer, or of what is thought before it; at the end, how long it took."""
Reply = Callable[[list[Message]], Iterator[Piece]]
DIM, NORMAL = "\x1b[2m", "\x1b[0m"


class Line(Timings, frozen=True, kw_only=True):
    """What of a line of /api/chat is needed here."""

    message: Message | None = None
    error: str | None = None
    done: bool = False


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("prompt", metavar="PROMPT", nargs="*", help="asked once; without it, a conversation starts")
    parser.add_argument("--verbose", action="store_true", help="print how long the answer took")
    parser.add_argument("--keepalive", metavar="DURATION", help="how long the server keeps the model loaded, e.g. 5m")
    parser.add_argument("--format", default="", help="json, or a JSON schema, for the answer")
    parser.add_argument("--insecure", action="store_true", help="let a registry speak plain HTTP")
    for flag in IGNORED:
        if flag in {"think", "dimensions"}:
            parser.add_argument(f"--{flag}", help=argparse.SUPPRESS)
        else:
            parser.add_argument(f"--{flag}", action="store_const", const=True, help=argparse.SUPPRESS)


def execute(args: argparse.Namespace, settings: Settings) -> int:
    ignored = [f"--{flag}" for flag in IGNORED if getattr(args, flag) is not None]
    if ignored:
        warn(settings.language, "flag_ignored", flags=", ".join(ignored))
    wanted, keep_alive = format_of(args.format), seconds_of(args.keepalive)
    server = find_server(os.environ)
    prompt = " ".join(args.prompt) or ("" if sys.stdin.isatty() else sys.stdin.read())
    if server is None or server.home == str(settings.home):
        args.name = present(args, settings)
    if server is None:
        warn(settings.language, "private")
        return with_private_engine(args, prompt, wanted, settings)
    asked: dict[str, object] = {"model": args.name}
    asked |= {"format": wanted} if wanted is not None else {}
    asked |= {"keep_alive": args.keepalive} if keep_alive is not None else {}
    address = server.addresses[0]

    def reply(messages: list[Message]) -> Iterator[Piece]:
        return shown(from_server(address, asked, messages), lambda: loading(address, args.name), args.name)

    talk(prompt, reply, settings.language, verbose=args.verbose)
    return 0


def shown(pieces: Iterator[Piece], look: "Look", name: str) -> Iterator[Piece]:
    """On a terminal, with a bar while the model loads."""
    from hoshikage.cli.loading import with_bar

    return with_bar(pieces, look, name, view) if sys.stderr.isatty() else pieces


def loading(address: str, name: str) -> tuple[float, int] | None:
    """How far the server's load of a model is, and its bytes; None where it loads nothing of that name."""
    from hoshikage.models.names import parse

    try:
        models = ask(address, "/api/ps", Running, timeout_seconds=LOOK_SECONDS).models
    except (OSError, HoshikageError):
        return None
    short = parse(name).short.lower()
    found = (each for each in models if each.name.lower() == short and each.hoshikage.state == "loading")
    return next(((each.hoshikage.progress, each.size) for each in found), None)


def present(args: argparse.Namespace, settings: Settings) -> str:
    """The name of the model, which is pulled if it is not registered. Raises PullError or ModelError."""
    from hoshikage.models.home import registry_of

    try:
        entry = registry_of(settings).run(args.name)
    except ModelNotFound as error:
        warn(settings.language, "run_pulls", message=error.text(settings.language))
        with view() as shown, closing(steps(args, settings)) as under_way:
            return followed(under_way, shown).name
    if (lost := entry.lost) is not None:
        raise FileMissing(path=lost)
    return str(args.name)


def format_of(text: str) -> object:
    """`json`, a schema, or None where nothing was asked. Raises RequestError."""
    if text in {"", "json"}:
        return text or None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestError(reason=f"--format: {error}") from error


def seconds_of(text: str | None) -> float | None:
    """Raises RequestError with Go's text."""
    try:
        return None if text is None else keep_alive_seconds(text)
    except ValueError as error:
        raise RequestError(reason=f"--keepalive: {error}") from error


def talk(prompt: str, reply: Reply, language: str, *, verbose: bool) -> None:
    """Answer `prompt`, or converse until the user leaves."""
    messages: list[Message] = []
    for asked in [prompt] if prompt.strip() else asked_by_user(language):
        messages.append(Message(role="user", content=asked))
        text, timings = printed(reply(messages))
        if verbose:
            print(f"\n{summary(timings)}", end="", file=sys.stderr, flush=True)
        messages.append(Message(role="assistant", content=text))


def printed(answer: Iterator[Piece]) -> tuple[str, Timings]:
    """Print an answer as it comes; returns all of it. What is thought goes to the error output, dimmed."""
    parts: list[str] = []
    timings, thought = Timings(), False
    dim, normal = (DIM, NORMAL) if sys.stderr.isatty() else ("", "")
    for piece in answer:
        if isinstance(piece, Timings):
            timings = piece
        elif isinstance(piece, ThinkingDelta):
            thought = True
            print(f"{dim}{piece.text}{normal}", end="", file=sys.stderr, flush=True)
        else:
            if thought and not parts:
                print("\n", file=sys.stderr, flush=True)
            parts.append(piece)
            print(piece, end="", flush=True)
    print(flush=True)
    return "".join(parts), timings


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


def from_server(address: str, asked: dict[str, object], messages: list[Message]) -> Iterator[Piece]:
    """The pieces of the server's answer, then how long it took. Raises OSError, ModelNotFound or RequestError."""
    for line in asked_lines(address, "/api/chat", {**asked, "messages": messages}):
        found = msgspec.json.decode(line, type=Line)
        if found.error:
            raise RequestError(reason=found.error)
        if found.message and found.message.thinking:
            yield ThinkingDelta(found.message.thinking)
        if found.message and found.message.content:
            yield found.message.content
        if found.done:
            yield found


def with_private_engine(args: argparse.Namespace, prompt: str, wanted: object, settings: Settings) -> int:
    from hoshikage.cli.private import from_engine, private_engine

    constraint = constraint_of(wanted)
    with private_engine(settings) as (services, wait):
        services.registry.run(args.name)

        def reply(messages: list[Message]) -> Iterator[Piece]:
            request = ChatRequest(model=args.name, messages=tuple(messages), constraint=constraint)
            return shown(from_engine(services, request, wait), lambda: loading_here(services), args.name)

        talk(prompt, reply, settings.language, verbose=args.verbose)
    return 0


def loading_here(services: "Services") -> tuple[float, int] | None:
    """As `loading`, of the private engine, which has one model."""
    found = (each for each in services.pool.held() if each.state == "loading")
    return next(((each.progress, each.footprint.total) for each in found), None)


def constraint_of(wanted: object) -> "Constraint | None":
    """What the server makes of the same `format`. Raises RequestError."""
    from hoshikage.constraints import Constraint

    if wanted is None:
        return None
    if wanted == "json":
        return Constraint(kind="json", field="format")
    if not isinstance(wanted, dict):
        raise RequestError(reason='--format: expected "json" or a JSON Schema object')
    return Constraint(kind="json_schema", source=msgspec.json.encode(wanted).decode(), field="format")
