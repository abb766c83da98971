"""`hoshikage ps [PREFIX]`: what the running server has loaded, as Ollama's table."""

import argparse
import datetime
import os
import time

from msgspec import Struct

from hoshikage.cli import human
from hoshikage.cli.asking import asked
from hoshikage.cli.running import find_server
from hoshikage.cli.text import warn
from hoshikage.settings import Settings

HELP = "list the models that the running server has loaded"
HEADING = ("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL")
ID_LENGTH = 12


class Progress(Struct, frozen=True):
    """What hoshikage tells beyond Ollama; `progress` of a load is 0 to 1."""

    state: str = ""
    progress: float = 1.0


class Running(Struct, kw_only=True):
    """A model in /api/ps; sizes in bytes, `context_length` in tokens."""

    name: str
    size: int
    digest: str
    expires_at: datetime.datetime
    size_vram: int
    context_length: int
    hoshikage: Progress = Progress()


class Reply(Struct):
    models: list[Running]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", metavar="PREFIX", nargs="?", default="", help="only names that begin so")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    server = find_server(os.environ)
    if server is None:
        warn(settings.language, "no_server")
        return 1
    models = asked(server.addresses[0], "/api/ps", Reply).models
    chosen = [each for each in models if each.name.lower().startswith(args.prefix.lower())]
    print(human.table(HEADING, [row(each, time.time()) for each in chosen]), end="")
    return 0


def row(model: Running, now: float) -> tuple[str, ...]:
    until = model.expires_at.timestamp()
    return (
        model.name,
        model.digest[:ID_LENGTH],
        human.size(model.size),
        processor(model.size, model.size_vram),
        str(model.context_length),
        when(model.hoshikage, until, now),
    )


def when(now_doing: Progress, until: float, now: float) -> str:
    """Until when it stays, or what it does instead."""
    if now_doing.state == "loading":
        return f"Loading {now_doing.progress:.0%}"
    return "Stopping..." if until < now or now_doing.state == "stopping" else human.moment(until, now)


def processor(size: int, size_vram: int) -> str:
    """Where a model of `size` bytes computes, of which `size_vram` lie on the GPU."""
    if not size_vram:
        return "100% CPU"
    if size_vram == size:
        return "100% GPU"
    if size_vram > size:
        return "Unknown"
    on_cpu = round(100 * (size - size_vram) / size)
    return f"{on_cpu}%/{100 - on_cpu}% CPU/GPU"
