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
    from hoshikage.cli.pull import followed, view
    from hoshikage.models.create import TOLD_BYTES, hashing
    from hoshikage.models.digests import AT_ONCE_BYTES
    from hoshikage.models.home import registry_of

    registry, path = registry_of(settings), args.path.expanduser().absolute()
    if path.is_file() and TOLD_BYTES <= path.stat().st_size <= AT_ONCE_BYTES:
        with view() as shown:
            followed(hashing(path, registry), shown)
    registry.add(path, args.name)
    say(settings.language, "added", name=args.name)
    return 0
