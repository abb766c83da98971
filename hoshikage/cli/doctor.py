"""`hoshikage doctor`: what this installation can do, and what is wrong with it. The exit code tells: 1 = a fault."""

import argparse
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from hoshikage.cli.running import find_server
from hoshikage.engine.build import gpu_present, installed_build
from hoshikage.errors import HoshikageError
from hoshikage.keeper import wish
from hoshikage.ramdisk.place import Machine, State, expected
from hoshikage.settings import Settings

HELP = "check the installation"

Finding = tuple[str, str]
"""A mark (✅ well, ⚠️ could be better, ❌ a fault) and what was found."""


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # no argument of its own


def execute(_args: argparse.Namespace, settings: Settings) -> int:
    found = [*installation(), *gpu(), *memory(settings), *models(settings), *server()]
    for mark, what in found:
        print(f"{mark} {what}")
    return 1 if any(mark == "❌" for mark, _ in found) else 0


def installation() -> Iterator[Finding]:
    yield "✅", f"hoshikage {version('hoshikage')}, Python {platform.python_version()}, {platform.platform()}"
    try:
        yield "✅", f"llama-cpp-python {version('llama-cpp-python')}"
    except PackageNotFoundError:
        yield "❌", "llama-cpp-python is not installed: run `make engine`"


def gpu() -> Iterator[Finding]:
    name, build = gpu_present(), installed_build()
    backend = build.backend if build else "unknown"
    if name and backend == "cpu":
        yield "⚠️", f"GPU {name}, but llama.cpp was built without GPU support: run `BACKEND=cuda make engine`"
    else:
        yield "✅", f"GPU {name or 'none'}; llama.cpp backend {backend}"


def memory(settings: Settings) -> Iterator[Finding]:
    state, reason = expected(wish(settings), Machine())
    yield ("✅" if state is State.MOUNTED else "⚠️"), f"RAM disk: {state}: {reason}"


def models(settings: Settings) -> Iterator[Finding]:
    from hoshikage.models.home import registry_of

    yield "✅", f"home {settings.home}"
    try:
        entries = registry_of(settings).entries()
    except HoshikageError as error:
        yield "❌", error.text(settings.language)
        return
    yield "✅", f"{len(entries)} models in {settings.model_map_file}"
    for entry in entries:
        if entry.missing:
            yield "❌", f"{entry.name}: the file is missing: {entry.file}"


def server() -> Iterator[Finding]:
    running = find_server(os.environ)
    if running:
        yield "✅", f"a server runs as process {running.pid} on {', '.join(running.addresses)}"
    else:
        yield "✅", "no server is running"
