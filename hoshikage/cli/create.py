"""`hoshikage create NAME -f Modelfile`: make a model; its files are registered where they lie."""

import argparse
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hoshikage.cli.pull import followed, view
from hoshikage.cli.text import say, warn
from hoshikage.errors import CreateRefused
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from hoshikage.models.entry import Entry
    from hoshikage.models.hubs.base import Progress
    from hoshikage.models.recipe import Recipe

HELP = "make a model from a Modelfile"
MODELFILE = "Modelfile"
MODELFILE_BYTES = 4 << 20


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("-f", "--file", type=Path, default=Path(MODELFILE), help=f"default: ./{MODELFILE}")
    parser.add_argument("-q", "--quantize", default="", metavar="TYPE", help="write the weights as q4_K_M, q8_0, ...")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    recipe = recipe_of(args, settings)
    try:
        with view() as shown, closing(steps(recipe, settings)) as under_way:
            entry = followed(under_way, shown)
    except KeyboardInterrupt:
        warn(settings.language, "create_cancelled")
        raise
    say(settings.language, "created", name=entry.name)
    return 0


def recipe_of(args: argparse.Namespace, settings: Settings) -> "Recipe":
    """Raises CreateRefused or BadModelfile."""
    from hoshikage.models.modelfile import parse
    from hoshikage.models.recipe import from_modelfile

    data, folder = read(args.file.expanduser())
    made = parse(data)
    for warning in made.warnings:
        warn(settings.language, "modelfile_warning", warning=warning)
    return from_modelfile(args.name, made, folder, args.quantize)


def read(file: Path) -> tuple[bytes, Path]:
    """The Modelfile, `-` is the standard input, and the folder that its paths count from. Raises CreateRefused."""
    if str(file) == "-":
        return sys.stdin.buffer.read(MODELFILE_BYTES), Path.cwd()
    file = file.absolute()
    if not file.exists():
        raise CreateRefused(reason=f"no Modelfile found: {file}")
    with file.open("rb") as opened:
        data = opened.read(MODELFILE_BYTES + 1)
    if len(data) > MODELFILE_BYTES:
        raise CreateRefused(reason=f"{file} is larger than {MODELFILE_BYTES} bytes: is it a Modelfile?")
    return data, file.parent


def steps(recipe: "Recipe", settings: Settings) -> Generator["Progress", None, "Entry"]:
    from hoshikage.models.create import create
    from hoshikage.models.home import registry_of
    from hoshikage.models.pull import pull

    registry = registry_of(settings)
    return create(recipe, registry, lambda name: pull(name, registry))
