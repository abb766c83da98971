"""`hoshikage import [STORE] [NAME…]`: show what other tools keep on this disk, and register it where it lies."""

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hoshikage.cli.human import size, table
from hoshikage.cli.text import say, text, warn
from hoshikage.errors import BadName, HoshikageError
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from hoshikage.models.registry import Registry
    from hoshikage.models.stores.base import Found, Store

HELP = "register the models of Ollama, LM Studio, the Hugging Face cache and MODEL_PATHS where they lie"
STORES = ("ollama", "lmstudio", "huggingface", "folders")
ALL = "all"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="STORE|NAME", help=f"one of {', '.join((*STORES, ALL))} (default: all), then names"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what is there")
    parser.add_argument("--root", type=Path, metavar="PATH", help="where the store lies, if not in its usual place")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.models.home import registry_of
    from hoshikage.models.stores.places import stores

    kind, names = asked(args.words)
    if args.root and kind == ALL:
        warn(settings.language, "import_root", kinds=", ".join(STORES))
        return 2
    places = stores(kind, settings, os.environ, args.root)
    found = chosen([each for store in places for each in store.models()], names, settings.language)
    if not found:
        tell_nothing(places, names, settings.language)
        return 1
    print(shown(found, settings.language), end="", flush=True)
    if args.dry_run:
        say(settings.language, "import_dry", found=len(found))
        return 0 if any(not each.note for each in found) else 1
    registry = registry_of(settings)
    done = Counter(outcome(each, registry, settings.language) for each in found)
    counts = {key: done[key] for key in ("added", "already", "failed")}
    say(settings.language, "import_done", found=len(found), **counts)
    return 0 if done["added"] or done["already"] else 1


def asked(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The kind of store, which may be left out, and the names."""
    return (words[0], words[1:]) if words and words[0] in {*STORES, ALL} else (ALL, words)


def chosen(found: "list[Found]", names: Sequence[str], language: str) -> "list[Found]":
    """Those of these names; all if none are given. Names that are not there are said."""
    from hoshikage.models.names import fold

    keys = {}
    for name in names:
        try:
            keys[fold(name)] = name
        except BadName as error:
            warn(language, "error", message=error.text(language))
    there = {fold(each.name) for each in found}
    for key, name in keys.items():
        if key not in there:
            warn(language, "import_unknown", name=name)
    return [each for each in found if not names or fold(each.name) in keys]


def tell_nothing(places: "list[Store]", names: Sequence[str], language: str) -> None:
    if not places:
        warn(language, "import_no_place")
    elif not names:
        warn(language, "import_nothing", places=", ".join(str(store.root) for store in places))


def shown(found: "list[Found]", language: str) -> str:
    """The table of what was found."""
    return table(text(language, "import_heading").split("|"), [row(each) for each in found])


def row(found: "Found") -> tuple[str, str, str, str]:
    weight = size(found.model.size) if found.model.size else "-"
    return found.name, weight, found.model.facts.quantization_level or "-", printable(found.note)


def printable(note: str) -> str:
    """A note may have a foreign file's name in it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in note)


def outcome(found: "Found", registry: "Registry", language: str) -> str:
    """Register a model, or say why not; a name is taken over only from the same store's file that is gone."""
    if found.note:
        return "failed"
    from hoshikage.models.pull import existing

    try:
        taken = existing(found.name, registry)
        if taken and same_file(taken.file, Path(found.model.path)):
            say(language, "import_already", name=found.name)
            return "already"
        again = taken is not None and taken.missing and taken.stored.origin == found.model.origin
        registry.register(found.name, found.model, replace=again)
    except (HoshikageError, OSError) as error:
        reason = error.text(language) if isinstance(error, HoshikageError) else str(error)
        warn(language, "import_failed", name=found.name, reason=printable(reason))
        return "failed"
    say(language, "import_again" if again else "added", name=found.name)
    return "added"


def same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other
