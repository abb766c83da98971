"""`hoshikage stop NAME`: the running server unloads a model."""

import argparse
import os

import msgspec

from hoshikage.cli.asking import asked
from hoshikage.cli.running import find_server
from hoshikage.cli.text import warn
from hoshikage.errors import ModelNotFound
from hoshikage.settings import Settings

HELP = "unload a model"
TIMEOUT_SECONDS = 60.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    server = find_server(os.environ)
    if server is None:
        warn(settings.language, "no_server")
        return 1
    try:
        unload(server.addresses[0], args.name)
    except ModelNotFound:
        warn(settings.language, "error", message=f'couldn\'t find model "{args.name}" to stop')
        return 1
    return 0


def unload(address: str, name: str) -> None:
    """Ask a server to unload, as Ollama's client does. Raises OSError, ModelNotFound or RequestError."""
    asked(address, "/api/generate", msgspec.Raw, {"model": name, "keep_alive": 0, "stream": False}, TIMEOUT_SECONDS)
