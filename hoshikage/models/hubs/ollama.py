"""Models from Ollama's registry, or any host that speaks its protocol: the names it takes and the steps of a pull.

The files become blobs beside the models folder, named by their sha256; texts are kept in the entry itself.
"""

import ipaddress
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import structs

from hoshikage.errors import BadName, DiskFull, PullError
from hoshikage.models import blobs, layers, names
from hoshikage.models.entry import Stored
from hoshikage.models.hubs.base import STARTED, Fetched, Progress, Steps
from hoshikage.models.hubs.blob_lock import clean, waited
from hoshikage.models.hubs.ollama_registry import PREFIX, Session
from hoshikage.models.hubs.sinks import Memory, Partial
from hoshikage.models.hubs.transfer import Wanted, transfer
from hoshikage.models.layers import FILES, TEXTS, Layer, Manifest
from hoshikage.models.space import free_bytes

OTHERS = frozenset(["hf.co", "huggingface.co"])


class OllamaRegistry:
    """The hub. `insecure` speaks http; a connection that is silent for `stall_seconds` is replaced by a new one, after
    `wait_seconds` for the first time, then twice as long each time."""

    known = "model:tag, user/model:tag or host/user/model:tag of a registry that speaks Ollama's protocol"

    def __init__(
        self,
        *,
        insecure: bool = False,
        stall_seconds: float = 30.0,
        wait_seconds: float = 1.0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._insecure = insecure
        self._stall_seconds, self._wait_seconds = stall_seconds, wait_seconds
        self._free = free

    def takes(self, name: str) -> bool:
        try:
            return names.parse(name).host.lower() not in OTHERS and not name.strip().startswith("pypi:")
        except BadName:
            return False

    def plan(self, name: str, folder: Path) -> Fetched:
        """What the name alone tells: digests are known only once the manifest is here, so `path` is their folder."""
        model = Stored(path=str(folder.parent / blobs.FOLDER), origin=names.parse(name).full, fetched=True)
        return Fetched(name=name.strip(), model=model)

    def fetch(self, name: str, folder: Path) -> Steps:
        parsed = names.parse(name)
        yield STARTED
        base = address(name.strip(), parsed.host, insecure=self._insecure)
        with closing(Session(base, f"{parsed.namespace}/{parsed.model}", self._stall_seconds)) as session:
            manifest = layers.read(session.manifest(parsed.tag))
            pull = Pull(session, manifest, folder.parent, self._wait_seconds)
            config = layers.configured(manifest, (yield from pull.config()))
            pull.check_space(self._free)
            clean(folder.parent / blobs.FOLDER)
            yield from pull.layers()
        yield Progress(status="verifying sha256 digest")
        model = layers.stored(manifest, config, pull.text, pull.path, parsed.full)
        return Fetched(name=name.strip(), model=structs.replace(model, fetched=True))


class Pull:
    """The layers of one manifest on their way."""

    def __init__(self, session: Session, manifest: Manifest, home: Path, wait_seconds: float) -> None:
        self._texts: dict[str, bytes] = {}
        self._session, self._manifest, self._home = session, manifest, home
        self._wait_seconds = wait_seconds

    def path(self, layer: Layer) -> str:
        return str(blobs.place(self._home, layer.digest).absolute())

    def text(self, layer: Layer) -> bytes:
        """What has arrived of a small one."""
        return self._texts[layer.digest]

    def config(self) -> Generator[Progress, None, bytes | None]:
        """Fetched first, since it may tell that all else is in vain; its line comes last."""
        if not (config := self._manifest.config):
            return None
        for _ in self._text(config):
            yield STARTED
        return self._texts[config.digest]

    def layers(self) -> Iterator[Progress]:
        for layer in self._manifest.of(*FILES, *TEXTS):
            yield from self._file(layer) if layer.kind in FILES else self._text(layer)
            yield pulling(layer, layer.size)
        if self._manifest.config:
            yield pulling(self._manifest.config, self._manifest.config.size)

    def check_space(self, free: Callable[[Path], int]) -> None:
        """There must be room for what is missing. Raises DiskFull."""
        files = {layer.digest: layer.size for layer in self._manifest.of(*FILES)}
        places = [(blobs.place(self._home, digest), size) for digest, size in files.items()]
        needed = sum(
            max(0, size - blobs.size_of(blobs.partial(blob))) for blob, size in places if not blobs.holds(blob, size)
        )
        folder = self._home / blobs.FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        if (room := free(folder)) < needed:
            raise DiskFull(folder=folder, free=room, needed=needed)

    def _text(self, layer: Layer) -> Iterator[Progress]:
        if layer.digest in self._texts:
            return
        sink = Memory()
        for size in self._transfer(layer, sink):
            yield pulling(layer, size)
        self._texts[layer.digest] = sink.data

    def _file(self, layer: Layer) -> Iterator[Progress]:
        blob, shown = blobs.place(self._home, layer.digest), 0
        for size in self._arriving(layer, blob):
            shown = max(shown, size)
            yield pulling(layer, shown)

    def _arriving(self, layer: Layer, blob: Path) -> Iterator[int]:
        """Until the blob is there, by us or by the pull that has its lock."""
        if blobs.holds(blob, layer.size):
            return
        lock = yield from waited(blob)
        with lock:
            if blobs.holds(blob, layer.size):  # the pull that was waited for has brought it
                return
            with opened(blobs.partial(blob)) as sink:
                yield from sink.kept()
                yield from self._transfer(layer, sink)
                sink.publish(blob)

    def _transfer(self, layer: Layer, sink: Memory | Partial) -> Iterator[int]:
        wanted = Wanted(name=layer.digest, size=layer.size, sha256=blobs.hexadecimal(layer.digest))
        return transfer(partial(self._session.blob, layer.digest), sink, wanted, self._wait_seconds)


@contextmanager
def opened(path: Path) -> Iterator[Partial]:
    """The unfinished file; an empty one does not stay."""
    with closing(Partial(path)) as sink:
        try:
            yield sink
        finally:
            if not blobs.size_of(path):
                path.unlink(missing_ok=True)


def pulling(layer: Layer, completed: int) -> Progress:
    """Ollama's line about a layer; a zero is left out of it."""
    status = f"pulling {blobs.hexadecimal(layer.digest)[:12]}"
    return Progress(status=status, digest=layer.digest, total=layer.size or None, completed=completed or None)


def address(name: str, host: str, *, insecure: bool) -> str:
    """The scheme and the host; http only where it was asked for or never leaves the machine. Raises PullError."""
    if insecure:
        return f"http://{host}"
    if name.lower().startswith("http://"):
        if not loopback(urlsplit(f"//{host}").hostname or ""):
            raise PullError(reason=f"{PREFIX}insecure protocol http: {host} is asked by https, or with --insecure")
        return f"http://{host}"
    return f"https://{host}"


def loopback(host: str) -> bool:
    """Whether a host name means this machine, whoever answers for names."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
