"""`hoshikage show NAME`: what is known of a model, in Ollama's sections; needs no server."""

import argparse
from typing import TYPE_CHECKING

from hoshikage.cli.text import warn
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from hoshikage.models.show import Shown

HELP = "show what is known of a model"
TEXTS = ("license", "modelfile", "parameters", "system", "template")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    for name in TEXTS:
        parser.add_argument(f"--{name}", action="store_true", help=f"print only the {name}")
    parser.add_argument("-v", "--verbose", action="store_true", help="print metadata and tensors, too")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.cli.sections import sections
    from hoshikage.models.home import registry_of
    from hoshikage.models.show import shown

    chosen = [name for name in TEXTS if getattr(args, name)]
    if len(chosen) > 1:
        warn(settings.language, "one_of", flags=", ".join(f"--{name}" for name in TEXTS))
        return 1
    found = shown(registry_of(settings).find(args.name), verbose=args.verbose)
    if chosen:
        print(only(found, chosen[0]))
    else:
        print(sections(found, verbose=args.verbose), end="")
    return 0


def only(found: "Shown", name: str) -> str:
    """One of its texts as it is; empty where the model has none."""
    return str(getattr(found, name) or "")
