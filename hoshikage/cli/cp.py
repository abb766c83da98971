"""`hoshikage cp SOURCE DESTINATION`: register a model under another name as well."""

import argparse

from hoshikage.settings import Settings

HELP = "register a model under another name as well"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("destination", metavar="DESTINATION")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.models.home import registry_of

    registry_of(settings).copy(args.source, args.destination)
    print(f"copied '{args.source}' to '{args.destination}'")
    return 0
