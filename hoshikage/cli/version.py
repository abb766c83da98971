"""`hoshikage --version`: which version this is, and which one the running server is."""

import argparse
import os
from importlib.metadata import version

from msgspec import Struct

from hoshikage.cli.asking import asked
from hoshikage.cli.running import find_server
from hoshikage.cli.text import warn
from hoshikage.errors import HoshikageError
from hoshikage.settings import Settings

HELP = "tell the version"


class Status(Struct):
    """What of /v1/status is needed here."""

    version: str


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # no argument of its own


def execute(_args: argparse.Namespace, settings: Settings) -> int:
    own, server = version("hoshikage"), find_server(os.environ)
    print(f"hoshikage version is {own}")
    if server is None:
        warn(settings.language, "no_server_warning")
    else:
        compare(own, server.addresses[0], settings.language)
    return 0


def compare(own: str, address: str, language: str) -> None:
    """Tells the server's version where it is another one, or why it is not known."""
    try:
        other = asked(address, "/v1/status", Status).version
    except HoshikageError as error:
        warn(language, "error", message=error.text(language))
        return
    if other != own:
        warn(language, "other_version", version=other)
