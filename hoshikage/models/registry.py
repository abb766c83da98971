"""The registry: model_map.json is the single truth, its two projections are rewritten with it.

Every change is made under a file lock, and each file is replaced by a rename. Whatever a kill leaves behind is put
right by the next reader: a projection is rebuilt from the truth, a corrupt truth is replaced by its last good copy.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock

from hoshikage.errors import BadName, FileMissing, ModelNotFound, NameTaken, NotGguf, RegistryCorrupt
from hoshikage.models import atomic, mapfile
from hoshikage.models.capabilities import check_model
from hoshikage.models.entry import Entry, Stored, facts_of
from hoshikage.models.gguf import read_header
from hoshikage.models.manifest import AT_ONCE_BYTES, file_digest, manifest, place, sample_digest
from hoshikage.models.names import fold, parse
from hoshikage.models.tags import cards, tags

log = logging.getLogger("hoshikage.models")

LOCK_SECONDS = 60
Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Files:
    """Where the truth, its projections and the manifests lie."""

    model_map: Path
    tag_cache: Path
    tag_ollama: Path
    home: Path

    @property
    def last_good(self) -> Path:
        return self.model_map.with_name(f"{self.model_map.name}.bak")

    @property
    def original(self) -> Path:
        """What version 1.0.0 wrote, kept when it is first rewritten."""
        return self.model_map.with_name(f"{self.model_map.name}.v1.bak")


class Registry:
    """Which models there are. Changes by other processes and by hand are seen at the next call."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._seen: Signature | None = None
        self._entries: tuple[Entry, ...] = ()

    def entries(self) -> tuple[Entry, ...]:
        """All models. Raises RegistryCorrupt."""
        if self._seen is None or self._seen != self._signature():
            with self._lock():
                self._refresh(self._read())
        return self._entries

    def find(self, name: str) -> Entry:
        """The model of that name, in any case, with or without `:latest`. Raises ModelNotFound or BadName."""
        key = fold(name)
        for entry in self.entries():
            if fold(entry.name) == key:
                return entry
        raise ModelNotFound(name=name)

    def add(
        self,
        path: Path,
        name: str,
        *,
        origin: str = "local",
        fetched: bool = False,
        stop: tuple[str, ...] = (),
    ) -> Entry:
        """Register a GGUF file where it lies. Raises BadName, FileMissing, NotGguf or NameTaken."""
        parsed, file = parse(name), path.absolute()
        self._refuse_taken(name)
        header = read_header(file)
        check_model(header, file)
        facts = facts_of(file, header)
        exact = facts.size <= AT_ONCE_BYTES
        data = manifest(facts, file_digest(file) if exact else sample_digest(file))
        stored = Stored(
            path=str(file),
            stop=stop,
            digest=hashlib.sha256(data).hexdigest(),
            exact=exact,
            origin=origin,
            fetched=fetched,
            created=time.time(),
            facts=facts,
        )
        self._change(lambda raw: self._put(raw, name.strip(), stored))
        atomic.write(place(self.files.home, parsed), data)
        return self.find(name)

    def remove(self, name: str) -> Entry:
        """Unregister a model; its file stays. Raises ModelNotFound or BadName."""
        entry = self.find(name)
        self._change(lambda raw: raw.pop(entry.name, None))
        place(self.files.home, entry.parsed).unlink(missing_ok=True)
        return entry

    def inexact(self) -> tuple[Entry, ...]:
        """The models whose digest still comes from a sample of their file."""
        return tuple(entry for entry in self.entries() if not entry.stored.exact and not entry.missing)

    def settle(self, entry: Entry) -> None:
        """Compute a digest from the whole file; takes seconds a gigabyte. Nothing if the file changed meanwhile."""
        try:
            data = manifest(entry.stored.facts, file_digest(entry.file))
            unchanged = facts_of(entry.file, read_header(entry.file)) == entry.stored.facts
        except (OSError, FileMissing, NotGguf) as error:
            log.warning("%s: no digest: %s", entry.name, error)
            return
        if unchanged:
            settled = msgspec.structs.replace(entry.stored, digest=hashlib.sha256(data).hexdigest(), exact=True)
            self._change(lambda raw: raw.update({entry.name: mapfile.raw_of(settled, raw.get(entry.name))}))
            atomic.write(place(self.files.home, entry.parsed), data)

    def _refuse_taken(self, name: str) -> None:
        try:
            taken = self.find(name)
        except ModelNotFound:
            return
        raise NameTaken(name=taken.name, path=taken.file)

    def _put(self, raw: mapfile.Raw, name: str, stored: Stored) -> None:
        """Checked again under the lock: another process may have taken the name."""
        for taken in raw:
            if _key(taken) == fold(name):
                raise NameTaken(name=taken, path=mapfile.modern(raw[taken]))
        raw[name] = mapfile.raw_of(stored)

    def _change(self, change: Callable[[mapfile.Raw], object]) -> None:
        with self._lock():
            before = self._read(set_aside=True)
            raw = dict(before)
            change(raw)
            if mapfile.is_legacy(before):
                self._modernise(raw)
            atomic.write(self.files.model_map, mapfile.encode(raw))
            self._refresh(raw)

    def _modernise(self, raw: mapfile.Raw) -> None:
        """The first change to a map of version 1.0.0: keep the original, then write all entries in our form."""
        if self.files.model_map.exists():
            atomic.write(self.files.original, self.files.model_map.read_bytes())
        for entry in mapfile.entries(raw, self.files.model_map.parent):
            raw[entry.name] = mapfile.raw_of(
                msgspec.structs.replace(entry.stored, path=str(entry.file)), raw[entry.name]
            )

    def _lock(self) -> FileLock:
        self.files.model_map.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{self.files.model_map}.lock", timeout=LOCK_SECONDS)

    def _read(self, *, set_aside: bool = False) -> mapfile.Raw:
        """The truth, or its last good copy. With `set_aside`, a corrupt truth is moved out of the way."""
        path = self.files.model_map
        try:
            return mapfile.decode(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raw = self._last_good(str(error))
        if set_aside:
            path.rename(path.with_name(f"{path.name}.corrupt-{time.time_ns()}"))
        return raw

    def _last_good(self, reason: str) -> mapfile.Raw:
        try:
            raw = mapfile.decode(self.files.last_good.read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            raise RegistryCorrupt(path=self.files.model_map, reason=reason) from None
        log.warning("%s cannot be read (%s); its last good copy is used", self.files.model_map, reason)
        return raw

    def _refresh(self, raw: mapfile.Raw) -> None:
        """Take the map in, and bring its copy and its projections in step."""
        self._entries = mapfile.entries(raw, self.files.model_map.parent)
        wanted = {
            self.files.last_good: mapfile.encode(raw),
            self.files.tag_cache: msgspec.json.encode(cards(self._entries)),
            self.files.tag_ollama: msgspec.json.encode(tags(self._entries)),
        }
        for path, data in wanted.items():
            if not path.exists() or path.read_bytes() != data:
                atomic.write(path, data)
        self._seen = self._signature()

    def _signature(self) -> Signature:
        paths = (self.files.model_map, self.files.tag_cache, self.files.tag_ollama)
        return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _key(name: str) -> str:
    try:
        return fold(name)
    except BadName:
        return name
