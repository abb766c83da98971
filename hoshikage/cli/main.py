"""`hoshikage` and `python -m hoshikage`: picks the command, and turns errors into one line and an exit code."""

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hoshikage.cli.running import find_server
from hoshikage.cli.text import tell, warn
from hoshikage.errors import HoshikageError, SettingsError
from hoshikage.settings import Settings

MODULES = {
    name: f"hoshikage.cli.{module}"
    for name, module in (
        ("serve", "serve"),
        ("add", "add"),
        ("pull", "pull"),
        ("create", "create"),
        ("import", "import_"),
        ("list", "list_"),
        ("ps", "ps"),
        ("show", "show"),
        ("run", "run"),
        ("stop", "stop"),
        ("cp", "cp"),
        ("rm", "rm"),
        ("remove", "remove"),
        ("key", "key"),
        ("unit", "unit"),
        ("doctor", "doctor.command"),
    )
}
ALIASES = {"start": "serve", "ls": "list"}
VERSION = frozenset({"-v", "--version"})
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 it failed, 2 a bad setting or argument, 130 interrupted."""
    given = spelled(sys.argv[1:] if arguments is None else arguments)
    args = parser(given[:1]).parse_args(given)
    try:
        settings = Settings.load(environ=os.environ, cwd=Path.cwd(), flags=flags_of(args, os.environ))
    except SettingsError as error:
        warn("en", "error", message=error.text("en"))
        return 2
    try:
        return int(args.command(args, settings))
    except HoshikageError as error:
        tell(error, settings.language)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        warn(settings.language, "error", message=str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def spelled(arguments: Sequence[str]) -> list[str]:
    """The arguments with Ollama's spellings in argparse's: `help COMMAND`, and a `--think` whose value is optional."""
    if arguments[:1] == ["help"]:
        return [*arguments[1:2], "--help"]
    if VERSION.intersection(arguments[:1]):
        return ["version"]
    return ["--think=true" if each == "--think" else each for each in arguments]


class Interspersed(argparse.ArgumentParser):
    """Takes options between the words of a prompt, too."""

    _inside = False

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        if self._inside:  # parse_known_intermixed_args calls this again for each of its passes
            return super().parse_known_args(args, namespace)
        self._inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._inside = False


def parser(wanted: Sequence[str]) -> argparse.ArgumentParser:
    """Of the wanted command alone, so that no other is loaded; of all where there is none of that name."""
    top = argparse.ArgumentParser(
        prog="hoshikage",
        description="星影: a drop-in Ollama server over llama.cpp",
        epilog="`hoshikage help COMMAND` explains a command, `hoshikage --version` tells the version.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=Interspersed)
    named = [ALIASES.get(name, name) for name in wanted]
    for name in [each for each in named if each in (*MODULES, "version")] or MODULES:
        module = importlib.import_module(MODULES.get(name, f"hoshikage.cli.{name}"))
        aliases = [alias for alias, real in ALIASES.items() if real == name]
        command = commands.add_parser(name, help=module.HELP, aliases=aliases)
        command.add_argument("--home", help="folder of the settings and data (default: see README)")
        module.arguments(command)
        command.set_defaults(command=module.execute, uses_server_home=name != "serve")
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
