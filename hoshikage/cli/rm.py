"""`hoshikage rm NAME...`: unregister models, and delete what hoshikage fetched for them alone."""

import argparse
import os
from typing import TYPE_CHECKING

from hoshikage.cli.running import find_server
from hoshikage.cli.stop import unload
from hoshikage.cli.text import say, tell, warn
from hoshikage.errors import HoshikageError
from hoshikage.settings import Settings

if TYPE_CHECKING:
    from hoshikage.models.registry import Registry

HELP = "delete models: unregister them, and delete the files that only they need and that hoshikage fetched"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    from hoshikage.models.home import registry_of

    registry, failed = registry_of(settings), False
    for name in args.names:
        try:
            remove(name, registry, settings)
        except HoshikageError as error:
            failed = True
            tell(error, settings.language)
        except OSError as error:
            failed = True
            warn(settings.language, "error", message=str(error))
    return int(failed)


def remove(name: str, registry: "Registry", settings: Settings) -> None:
    """Raises ModelNotFound, BadName or OSError."""
    from hoshikage.models.disposal import delete

    free(registry.find(name).name, settings)
    gone = delete(registry, name)
    print(f"deleted '{name}'")
    for path in gone.kept:
        say(settings.language, "file_stays", path=path)


def free(name: str, settings: Settings) -> None:
    """A server of this home unloads the model before its file goes; one that cannot is no reason to keep it."""
    server = find_server(os.environ)
    if server is None or server.home != str(settings.home):
        return
    try:
        unload(server.addresses[0], name)
    except (HoshikageError, OSError):
        warn(settings.language, "not_stopped", name=name)
