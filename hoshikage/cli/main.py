"""`hoshikage` and `python -m hoshikage`: picks the command, and turns errors into one line and an exit code."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hoshikage.cli import add, doctor, import_, list_, pull, remove, run, serve
from hoshikage.cli.running import find_server
from hoshikage.cli.text import warn
from hoshikage.errors import HoshikageError, SettingsError
from hoshikage.settings import Settings

COMMANDS = (serve, add, list_, remove, pull, import_, run, doctor)
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 it failed, 2 a bad setting or argument, 130 interrupted."""
    args = parser().parse_args(arguments)
    try:
        settings = Settings.load(environ=os.environ, cwd=Path.cwd(), flags=flags_of(args, os.environ))
    except SettingsError as error:
        warn("en", "error", message=error.text("en"))
        return 2
    try:
        return int(args.command(args, settings))
    except HoshikageError as error:
        warn(settings.language, "error", message=error.text(settings.language))
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        warn(settings.language, "error", message=str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="hoshikage", description="星影: a drop-in Ollama server over llama.cpp")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        command = commands.add_parser(module.NAME, help=module.HELP)
        command.add_argument("--home", help="folder of the settings and data (default: see README)")
        module.arguments(command)
        command.set_defaults(command=module.execute, uses_server_home=module is not serve)
    return top


def flags_of(args: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """The flags that are settings. A running server's home is used unless another is named."""
    given = {name: str(value) for name in ("home", "host", "port") if (value := getattr(args, name, None)) is not None}
    if args.uses_server_home and "home" not in given and not environ.get("HOSHIKAGE_HOME"):
        server = find_server(environ)
        if server is not None:
            given["home"] = server.home
    return given


if __name__ == "__main__":
    sys.exit(main())
