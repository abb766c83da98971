"""The registry: model_map.json is the single truth, its two projections are rewritten with it.

Every change is made under a file lock, and each file is replaced by a rename. Whatever a kill leaves behind is put
right by the next reader: a projection is rebuilt from the truth, a corrupt truth is replaced by its last good copy.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from hoshikage import atomic
from hoshikage.errors import BadName, FileMissing, ModelNotFound, NameTaken, NotGguf
from hoshikage.models import mapfile
from hoshikage.models.digests import Digests, all_exact, file_digest
from hoshikage.models.entry import Entry, Stored, checked, facts_of
from hoshikage.models.gguf import read_header
from hoshikage.models.looks import Looks, look, signature
from hoshikage.models.manifest import Manifest, manifest, place
from hoshikage.models.names import fold, local, parse
from hoshikage.models.projections import Projections
from hoshikage.models.truth import Files, Truth

log = logging.getLogger("hoshikage.models")

Signature = tuple[int, int, int] | None


class Registry:
    """Which models there are. Changes by other processes and by hand are seen at the next call."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.digests = Digests(files.digests)
        self._truth = Truth(files)
        self._taking = threading.Lock()
        self._looks = Looks()
        self._seen: tuple[Signature, ...] | None = None
        self._behind = False
        self._entries: tuple[Entry, ...] = ()
        self._by_key: dict[str, Entry] = {}
        self._known: mapfile.Known = {}
        self._projections = Projections()

    @property
    def changed(self) -> bool:
        """Whether the map or a projection is not as this process has left it; costs three looks at the disk."""
        return self._seen is not None and (self._behind or self._seen != self._three_now())

    def locked(self) -> FileLock:
        """For what must not fall between two changes of other processes; changes can be made inside."""
        return self._truth.lock()

    def entries(self) -> tuple[Entry, ...]:
        """All models; that a file was replaced by another is seen within LOOK_SECONDS. Raises RegistryCorrupt."""
        self._follow()
        if self._looks.any_changed(entry.file for entry in self._entries):
            self._read()
        return self._entries

    def tags(self) -> bytes:
        """The reply of /api/tags. Raises RegistryCorrupt."""
        self.entries()
        return self._projections.tags

    def cards(self) -> bytes:
        """The reply of /v1/models. Raises RegistryCorrupt."""
        self.entries()
        return self._projections.cards

    def find(self, name: str) -> Entry:
        """The model of that name, in any case, with or without `:latest`, as its file is now.

        Raises ModelNotFound, BadName or RegistryCorrupt.
        """
        self._follow()
        found = self._named(name)
        if self._looks.changed(found.file):
            self._read()
            found = self._named(name)
        return found

    def run(self, name: str) -> Entry:
        """The model that is to run or to be shown; `:local` may follow its name. Raises as `find` and `local`."""
        try:
            return self.find(name)
        except (ModelNotFound, BadName):
            if (bare := local(name)) == name.strip():
                raise
        try:
            return self.find(bare)
        except ModelNotFound as error:
            raise ModelNotFound(name=name) from error

    def add(self, path: Path, name: str, *, stop: tuple[str, ...] = ()) -> Entry:
        """Register a GGUF file where it lies. Raises what `register` raises."""
        return self.register(name, Stored(path=str(path), stop=stop))

    def register(self, name: str, model: Stored, *, replace: bool = False) -> Entry:
        """Register what `model` describes, in place of another of that name only with `replace`.

        Facts, digest, size and time are found here. Raises BadName, FileMissing, NotGguf or NameTaken.
        """
        parsed = parse(name)
        if not replace:
            self._refuse_taken(name)
        stored, made = self._checked(mapfile.resolved(model, Path.cwd()))
        with self._truth.lock():
            if not replace:  # checked again: another process may have taken the name
                self._refuse_taken(name)
            if (lost := next((path for path in stored.paths if not os.path.isfile(path)), None)) is not None:  # noqa: PTH113
                raise FileMissing(path=lost)  # deleted with another name while it was looked at
            # Before the truth, so that no kill leaves an entry whose digest is the sha256 of nothing.
            atomic.write(place(self.files.home, parsed), made.data)
            self._change(lambda raw: raw.update({_spelling(raw, name): mapfile.raw_of(stored)}))
        return self.find(name)

    def copy(self, source: str, destination: str) -> Entry:
        """Register a model under another name as well, whatever had that name. Raises ModelNotFound or BadName."""
        entry, parsed = self.find(source), parse(destination)
        if fold(source) == fold(destination):
            return entry
        stored = msgspec.structs.replace(entry.stored, created=time.time())
        with self._truth.lock():
            if (manifest_file := place(self.files.home, entry.parsed)).is_file():
                # A power cut may lose it, which mend() puts right.
                atomic.write(place(self.files.home, parsed), manifest_file.read_bytes(), flush=False)
            self._change(lambda raw: raw.update({_spelling(raw, destination): mapfile.raw_of(stored)}))
            return self.find(destination)

    def remove(self, name: str) -> Entry:
        """Unregister a model; its files stay. Raises ModelNotFound or BadName."""
        entry = self.find(name)
        self._change(lambda raw: raw.pop(entry.name, None))
        place(self.files.home, entry.parsed).unlink(missing_ok=True)
        return entry

    def inexact(self) -> tuple[Entry, ...]:
        """The models whose digest still comes from samples of their files."""
        return tuple(entry for entry in self.entries() if not entry.stored.exact and not entry.missing)

    def settle(self, entry: Entry, stopped: Callable[[], bool] = lambda: False) -> None:
        """Compute a digest from the whole files; takes seconds a gigabyte. Nothing if it was changed or is `stopped`
        meanwhile."""
        try:
            for path in entry.files:
                for _ in self.digests.steps(path):
                    if stopped():
                        return
            made = manifest(entry.stored, self.digests.of)
            unchanged = facts_of(entry.file, read_header(entry.file)) == entry.stored.facts
        except (OSError, FileMissing, NotGguf) as error:
            log.warning("%s: no digest: %s", entry.name, error)
            return
        with self._truth.lock():
            now = next((each for each in self.entries() if each.name == entry.name), None)
            if unchanged and now and (now.stored.paths, now.stored.facts) == (entry.stored.paths, entry.stored.facts):
                made = manifest(now.stored, self.digests.of)
                settled = msgspec.structs.replace(now.stored, digest=made.digest, size=made.size, exact=True)
                atomic.write(place(self.files.home, entry.parsed), made.data)
                self._change(lambda raw: raw.update({now.name: mapfile.raw_of(settled, raw.get(now.name))}))

    def _checked(self, model: Stored) -> tuple[Stored, Manifest]:
        """The entry and its manifest, once all its files are found to be what they must be."""
        for path in model.paths:
            _check_printable(path)
        stored = msgspec.structs.replace(model, facts=checked(model), created=time.time())
        digests = {path: self.digests.of(Path(path)) for path in stored.paths}
        made = manifest(stored, lambda path: digests[str(path)])
        exact = all_exact(digests.values())
        return msgspec.structs.replace(stored, digest=made.digest, size=made.size, exact=exact), made

    def mend(self) -> None:
        """Write the manifests anew that are not what their entries' digests say, as a kill or a hand can leave them."""
        for entry in self.entries():
            if not entry.missing and not _has_digest(place(self.files.home, entry.parsed), entry.digest):
                self.settle(entry)

    def _refuse_taken(self, name: str) -> None:
        try:
            taken = self.find(name)
        except ModelNotFound:
            return
        raise NameTaken(name=taken.name, path=taken.file)

    def _change(self, change: Callable[[mapfile.Raw], object]) -> None:
        with self._truth.lock():
            before = self._truth.read(set_aside=True)
            raw = dict(before)
            change(raw)
            self._refresh(raw, self._truth.write(raw, before))

    def _follow(self) -> None:
        """Take in what others have made of the three files."""
        if self._seen is None or self.changed:
            self._read()

    def _read(self) -> None:
        """Take the map in. While another holds the lock, the projections are left to it: no reader waits for a lock."""
        before = self._three_now()  # before the map is read: what is changed meanwhile is seen at the next call
        try:
            with self._truth.lock().acquire(blocking=False):
                self._refresh(self._truth.read())
                self._seen = (before[0], *self._three_now()[1:])
                return
        except Timeout:
            self._behind = True
        except OSError as error:  # a folder that cannot be written
            log.warning("%s: %s", self.files.model_map, error)
            self._behind = False
        self._take(self._truth.read())
        self._seen = before

    def _refresh(self, raw: mapfile.Raw, data: bytes | None = None) -> None:
        """Take the map in, and bring its copy, its manifests and its projections in step; `data` is the map's own."""
        self._take(raw)
        wanted = {
            self.files.tag_cache: self._projections.cards,
            self.files.tag_ollama: self._projections.tags,
            **self._sampled_manifests(),
        }
        if self.files.model_map.exists():  # the copy of a deleted map is left to whoever deleted it by mistake
            wanted[self.files.last_good] = data or mapfile.encode(raw)
        for path, content in wanted.items():
            try:
                if not path.exists() or path.read_bytes() != content:
                    # After a power cut, the next reader makes these anew; the copy of the map must be whole even then.
                    atomic.write(path, content, flush=path not in self._three, sync=False)
            except OSError as error:  # the truth stands; what follows from it is tried again at the next change
                log.warning("%s cannot be written: %s", path, error)
        self._seen, self._behind = self._three_now(), False

    def _take(self, raw: mapfile.Raw) -> None:
        with self._taking:  # a reader in the event loop and a change in a thread
            self._entries = mapfile.entries(raw, self.files.model_map.parent, self._known, self._looks.at)
            self._by_key = {fold(entry.name): entry for entry in self._entries}
            self._known = {entry.name: (raw[entry.name], entry) for entry in self._entries}
            self._looks.forget_others(entry.file for entry in self._entries)
            self._projections.take(self._entries)

    def _named(self, name: str) -> Entry:
        try:
            return self._by_key[fold(name)]
        except KeyError:
            raise ModelNotFound(name=name) from None

    def _sampled_manifests(self) -> dict[Path, bytes]:
        """Those of entries that came by hand or from version 1.0.0; `add` and `settle` write the others."""
        found = {}
        for entry in self._entries:
            if entry.stored.exact or entry.missing:
                continue
            path = place(self.files.home, entry.parsed)
            if not _has_digest(path, entry.digest):
                found[path] = manifest(entry.stored, mapfile.sampled).data
        return found

    def _three_now(self) -> tuple[Signature, ...]:
        return tuple(signature(look(path)) for path in self._three)

    @property
    def _three(self) -> tuple[Path, Path, Path]:
        return self.files.model_map, self.files.tag_cache, self.files.tag_ollama


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and file_digest(path) == digest


def _check_printable(path: str) -> None:
    """The map is JSON, which holds no bytes that are not UTF-8. Raises NotGguf."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "replace").decode()
        raise NotGguf(path=shown, reason="its path is not UTF-8; rename it") from None


def _spelling(raw: mapfile.Raw, name: str) -> str:
    """The key that has this name already, in whatever case; else the name as it was typed."""
    key = fold(name)
    return next((each for each in raw if _key(each) == key), name.strip())


def _key(name: str) -> str:
    try:
        return fold(name)
    except BadName:
        return name
