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
        self._file_lock = FileLock(f"{files.model_map}.lock", timeout=LOCK_SECONDS)
        self._seen: Signature | None = None
        self._entries: tuple[Entry, ...] = ()

    def entries(self) -> tuple[Entry, ...]:
        """All models. Raises RegistryCorrupt."""
        if self._seen is None or self._seen != self._signature():
            try:
                with self._lock():
                    self._refresh(self._read())
            except OSError as error:  # a folder that cannot be written, or a lock that is held: reading goes on
                log.warning("%s: %s", self.files.model_map, error)
                self._take(self._read())
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
        parsed, file = parse(name), _printable(path.absolute())
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
        with self._lock():
            self._refuse_taken(name)
            # Before the truth, so that no kill leaves an entry whose digest is the sha256 of nothing.
            atomic.write(place(self.files.home, parsed), data)
            self._change(lambda raw: self._put(raw, name.strip(), stored))
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
        """Compute a digest from the whole file; takes seconds a gigabyte. Nothing if it was changed meanwhile."""
        try:
            data = manifest(entry.stored.facts, file_digest(entry.file))
            unchanged = facts_of(entry.file, read_header(entry.file)) == entry.stored.facts
        except (OSError, FileMissing, NotGguf) as error:
            log.warning("%s: no digest: %s", entry.name, error)
            return
        with self._lock():
            now = next((each for each in self.entries() if each.name == entry.name), None)
            if unchanged and now and (now.file, now.stored.facts) == (entry.file, entry.stored.facts):
                settled = msgspec.structs.replace(now.stored, digest=hashlib.sha256(data).hexdigest(), exact=True)
                atomic.write(place(self.files.home, entry.parsed), data)
                self._change(lambda raw: raw.update({now.name: mapfile.raw_of(settled, raw.get(now.name))}))

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
        if self.files.model_map.exists() and not self.files.original.exists():
            atomic.write(self.files.original, self.files.model_map.read_bytes())
        for entry in mapfile.entries(raw, self.files.model_map.parent):
            raw[entry.name] = mapfile.raw_of(
                msgspec.structs.replace(entry.stored, path=str(entry.file)), raw[entry.name]
            )

    def _lock(self) -> FileLock:
        self.files.model_map.parent.mkdir(parents=True, exist_ok=True)
        return self._file_lock

    def _read(self, *, set_aside: bool = False) -> mapfile.Raw:
        """The truth, or its last good copy. With `set_aside`, a corrupt truth is copied, since it will be replaced."""
        path = self.files.model_map
        try:
            data = path.read_bytes()
            return mapfile.decode(data)
        except FileNotFoundError:
            return {}
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if not data.strip() and not self.files.last_good.exists():
                return {}
            raw = self._last_good(str(error))
        if set_aside:  # not by a rename: a kill after it would leave no map, which reads as an empty one
            atomic.write(path.with_name(f"{path.name}.corrupt-{time.time_ns()}"), data)
        return raw

    def _last_good(self, reason: str) -> mapfile.Raw:
        try:
            raw = mapfile.decode(self.files.last_good.read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            raise RegistryCorrupt(path=self.files.model_map, reason=reason) from None
        log.warning("%s cannot be read (%s); its last good copy is used", self.files.model_map, reason)
        return raw

    def _refresh(self, raw: mapfile.Raw) -> None:
        """Take the map in, and bring its copy, its manifests and its projections in step."""
        self._take(raw)
        wanted = {
            self.files.tag_cache: msgspec.json.encode(cards(self._entries)),
            self.files.tag_ollama: msgspec.json.encode(tags(self._entries)),
            **self._sampled_manifests(),
        }
        if self.files.model_map.exists():  # the copy of a deleted map is left to whoever deleted it by mistake
            wanted[self.files.last_good] = mapfile.encode(raw)
        for path, data in wanted.items():
            try:
                if not path.exists() or path.read_bytes() != data:
                    atomic.write(path, data)
            except OSError as error:  # the truth stands; what follows from it is tried again at the next change
                log.warning("%s cannot be written: %s", path, error)
        self._seen = self._signature()

    def _take(self, raw: mapfile.Raw) -> None:
        self._entries = mapfile.entries(raw, self.files.model_map.parent)
        self._seen = self._signature()

    def _sampled_manifests(self) -> dict[Path, bytes]:
        """Those of entries that came by hand or from version 1.0.0; `add` and `settle` write the others."""
        found = {}
        for entry in self._entries:
            path = place(self.files.home, entry.parsed)
            if not entry.stored.exact and not entry.missing and not _has_digest(path, entry.digest):
                found[path] = manifest(entry.stored.facts, sample_digest(entry.file))
        return found

    def _signature(self) -> Signature:
        """Of the three files, and of the models', which may be replaced by others of the same name."""
        paths = (self.files.model_map, self.files.tag_cache, self.files.tag_ollama)
        return tuple(_stat(path) for path in (*paths, *(entry.file for entry in self._entries)))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and file_digest(path) == digest


def _printable(file: Path) -> Path:
    """The map is JSON, which holds no bytes that are not UTF-8."""
    try:
        str(file).encode()
    except UnicodeEncodeError:
        shown = str(file).encode("utf-8", "replace").decode()
        raise NotGguf(path=shown, reason="its path is not UTF-8; rename it") from None
    return file


def _key(name: str) -> str:
    try:
        return fold(name)
    except BadName:
        return name
