"""`hoshikage remove NAME`: unregister a model; its file stays."""

import argparse

from hoshikage.cli.text import say
from hoshikage.settings import Settings

HELP = "unregister a model; its file stays"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.models.home import registry_of

    entry = registry_of(settings).remove(args.name)
    say(settings.language, "removed", name=args.name)
    if not entry.missing:
        say(settings.language, "file_stays", path=entry.file)
    return 0
