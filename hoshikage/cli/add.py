"""`hoshikage add PATH NAME`: register a GGUF file where it lies."""

import argparse
from pathlib import Path

from hoshikage.cli.text import say
from hoshikage.settings import Settings

HELP = "register a GGUF file under a name; the file stays where it is"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", type=Path)
    parser.add_argument("name", metavar="NAME")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.models.home import registry_of

    registry_of(settings).add(args.path.expanduser().absolute(), args.name)
    say(settings.language, "added", name=args.name)
    return 0
