"""`hoshikage --version`: which version this is, and which one the running server is."""

import argparse
import os
from importlib.metadata import version

from msgspec import Struct

from hoshikage.cli.asking import asked
from hoshikage.cli.running import find_server
from hoshikage.cli.text import warn
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
    elif (other := asked(server.addresses[0], "/v1/status", Status).version) != own:
        warn(settings.language, "other_version", version=other)
    return 0
