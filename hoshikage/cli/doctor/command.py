"""`hoshikage doctor`: what this installation can do, and what is wrong with it. The exit code tells: 1 = a fault."""

import argparse
import os
from collections.abc import Iterator

from hoshikage.cli.doctor import files, machine, network
from hoshikage.cli.doctor.findings import Finding, Mark, better, well
from hoshikage.cli.running import find_server
from hoshikage.ramdisk.place import Machine
from hoshikage.settings import Settings

HELP = "check the installation"


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # no argument of its own


def execute(_args: argparse.Namespace, settings: Settings) -> int:
    faults = 0
    for finding in findings(settings):
        print(finding.text(settings.language), flush=True)
        faults += finding.mark is Mark.FAULT
    return 1 if faults else 0


def findings(settings: Settings) -> Iterator[Finding]:
    running = find_server(os.environ)
    yield from machine.versions()
    yield from machine.gpu()
    yield from machine.ramdisk(settings, Machine())
    yield from files.home(settings)
    yield from files.models(settings)
    yield from files.folders(settings)
    yield from network.server(running, settings.language)
    yield from network.ports(settings, running)
    yield from network.keys(settings)
    yield from effects(settings)


def effects(settings: Settings) -> Iterator[Finding]:
    if settings.ineffective:
        names = " ".join(settings.ineffective)
        yield better("ineffective", f"unset {names}", names=names.replace(" ", ", "))
    else:
        yield well("settings")
