"""`hoshikage list`: what is registered."""

import argparse

from hoshikage.cli.text import say
from hoshikage.settings import Settings

NAME = "list"
HELP = "list the registered models"
MEGABYTE = 1024 * 1024


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # no argument of its own


def execute(_args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.services import registry_of

    entries = registry_of(settings).entries()
    say(settings.language, "listed", count=len(entries))
    for entry in entries:
        key = "row_missing" if entry.missing else "row"
        say(settings.language, key, name=entry.name, path=entry.file, megabytes=entry.size / MEGABYTE)
    return 0
