"""The files: the home, the registered models, and the folders where others may lie."""

import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hoshikage.cli import human
from hoshikage.cli.doctor.findings import Finding, better, fault, well
from hoshikage.errors import HoshikageError
from hoshikage.models.entry import Entry
from hoshikage.models.space import free_bytes
from hoshikage.models.stores.folders import Folders
from hoshikage.models.stores.places import ALL, stores
from hoshikage.settings import Settings

LEAST_FREE = 2 * 10**9
"""Bytes; less is soon filled by a model or by snapshots."""


def home(settings: Settings) -> Iterator[Finding]:
    """Whether it can be written is tried: what the modes say is not all that counts."""
    folder = settings.home
    try:
        there = next(each for each in (folder, *folder.parents) if each.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason, remedy = error.strerror or str(error), f"sudo chown {os.getuid()} {shlex.quote(str(folder))}"
        yield fault("home_unwritable", remedy, home=folder, reason=reason)
        return
    free = free_bytes(folder)
    if free < LEAST_FREE:
        yield better("home_full", f"du -sh {shlex.quote(str(folder))}/*", home=folder, free=human.size(free))
    else:
        yield well("home", home=folder, free=human.size(free))


def models(settings: Settings) -> Iterator[Finding]:
    from hoshikage.models.home import registry_of

    try:
        entries = registry_of(settings).entries()
    except (HoshikageError, OSError) as error:
        said = error.text(settings.language) if isinstance(error, HoshikageError) else str(error)
        remedy = f"mv {shlex.quote(str(settings.model_map_file))} {shlex.quote(f'{settings.model_map_file}.broken')}"
        yield fault("registry_broken", remedy, reason=said)
        return
    yield well("registry", count=len(entries), map=settings.model_map_file)
    for entry in entries:
        yield from model(entry)


def model(entry: Entry) -> Iterator[Finding]:
    if (lost := entry.lost) is not None:
        yield fault("model_missing", f"hoshikage remove {entry.name}", name=entry.name, path=lost)
        return
    for file in entry.files:
        if not os.access(file, os.R_OK):
            yield fault("model_unreadable", f"sudo chmod a+r {shlex.quote(str(file))}", name=entry.name, path=file)


def folders(settings: Settings) -> Iterator[Finding]:
    """What MODEL_PATHS names must be there; the stores of other programs may be."""
    for path in settings.model_paths:
        if not path.is_dir():
            yield better("folder_missing", f"mkdir -p {shlex.quote(str(path))}", path=path)
        elif not readable(path):
            yield better("folder_unreadable", f"sudo chmod a+rx {shlex.quote(str(path))}", path=path)
        else:
            yield well("folder", path=path)
    for store in stores(ALL, settings, os.environ):
        if store.name != Folders.name and store.root.is_dir():
            if readable(store.root):
                yield well("store", kind=store.name, path=store.root)
            else:
                yield better("folder_unreadable", f"sudo chmod a+rx {shlex.quote(str(store.root))}", path=store.root)


def readable(path: Path) -> bool:
    return os.access(path, os.R_OK | os.X_OK)
