"""`hoshikage list [PREFIX]`: what is registered, in the manual's form or as Ollama's table."""

import argparse
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hoshikage.cli import human
from hoshikage.cli.text import say
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from hoshikage.models.entry import Entry

HELP = "list the registered models"
MEGABYTE = 1024 * 1024
HEADING = ("NAME", "ID", "SIZE", "MODIFIED")
ID_LENGTH = 12


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", metavar="PREFIX", nargs="?", default="", help="only names that begin so")
    parser.add_argument("--ollama", action="store_true", help="print Ollama's table")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.models.home import registry_of
    from hoshikage.models.tags import latest_first

    entries = registry_of(settings).entries()
    if args.ollama:
        chosen = [each for each in latest_first(entries) if begins(each.parsed.short, args.prefix)]
        print(human.table(HEADING, [row(each, time.time()) for each in chosen]), end="")
    else:
        tell([each for each in entries if begins(each.name, args.prefix)], settings.language)
    return 0


def begins(name: str, prefix: str) -> bool:
    return name.lower().startswith(prefix.lower())


def row(entry: "Entry", now: float) -> tuple[str, ...]:
    modified = human.moment(entry.created, now, "Never")
    return entry.parsed.short, entry.digest[:ID_LENGTH], human.size(entry.size), modified


def tell(entries: "Iterable[Entry]", language: str) -> None:
    chosen = list(entries)
    say(language, "listed", count=len(chosen))
    for entry in chosen:
        key = "row_missing" if entry.missing else "row"
        say(language, key, name=entry.name, path=entry.file, megabytes=entry.size / MEGABYTE)
