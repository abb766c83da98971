"""The snapshots of one model, on the RAM disk and in the home: found by owner and prefix, kept within budgets.

A folder `kv/<model>` a place, a file a snapshot, named by owner and tokens. Knows files and tokens, no llama.cpp.
"""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hoshikage.engine.prefix import ALIKE, Reuse, Saved, common_prefix
from hoshikage.engine.snapshots import (
    SUFFIX,
    Header,
    Part,
    Reader,
    Refusal,
    SnapshotRefused,
    Writer,
    opened,
    packed,
    partial_of,
    read_header,
    sweep,
    unpacked,
)

FOLDER = "kv"
NAME_BYTES = 16

log = logging.getLogger("hoshikage.shelf")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with a budget in bytes, and what a hit there is called."""

    folder: Path
    budget: int
    tier: Reuse


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A snapshot on the shelf. `positions` are those of its checkpoints, in order."""

    path: Path
    owner: str
    tokens: list[int]
    positions: tuple[int, ...]
    tier: Reuse


class Shelf:
    """Snapshots go to the first of `places`; they are found in all.

    A restored state of more than `window` tokens cannot be cut but at its checkpoints; None = it can be cut anywhere.
    """

    def __init__(self, places: list[Place], model: bytes, window: int | None) -> None:
        self._places = places
        self._model = model
        self._window = window
        self._entries: dict[str, Entry] = {}
        for place in reversed(places):
            self._scan(place)

    def find(self, owner: str, tokens: list[int]) -> Saved | None:
        """The snapshot that saves most of the prompt's evaluation, but for its last token."""
        best: Saved | None = None
        for key, entry in self._entries.items():
            shared = _shared(entry, tokens) if entry.owner == owner else 0
            usable = self._usable(entry, shared)
            if shared and (best is None or (usable, shared) > (best.length, best.token_length)):
                best = Saved(key, usable, len(entry.tokens), shared, entry.tier)
        return best

    def foreign(self, owner: str, tokens: list[int]) -> bool:
        """Whether another owner's snapshot begins like the prompt."""
        return any(e.owner != owner and _shared(e, tokens) >= ALIKE for e in self._entries.values())

    @contextlib.contextmanager
    def writing(self, owner: str, tokens: list[int], parts: list[Part]) -> Iterator[Writer | None]:
        """A writer for a new snapshot, published at the end of the block; None where it has no room.

        What it replaces, snapshots of the same conversation that are shorter, is removed then.
        """
        place = self._places[0]
        path = self._folder(place) / (self._name(owner, tokens) + SUFFIX)
        writer = self._begin(place, path, Header(self._model, owner, packed(tokens), tuple(parts)))
        if writer is None:
            yield None
            return
        try:
            yield writer
            writer.publish()
        except OSError as error:
            log.error("no snapshot: %s", error)
            return
        finally:
            writer.close()
        entry = Entry(path, owner, tokens, tuple(part.position for part in parts[1:]), place.tier)
        for old in self.shorter(owner, tokens):
            if old.path != path:
                self.remove(old.path.stem)
        self._entries[path.stem] = entry

    def shorter(self, owner: str, tokens: list[int]) -> list[Entry]:
        """The owner's snapshots that hold a prefix of `tokens`."""
        mine = [entry for entry in self._entries.values() if entry.owner == owner]
        return [entry for entry in mine if common_prefix(entry.tokens, tokens) == len(entry.tokens)]

    def read(self, key: str, owner: str, tokens: list[int], use: Callable[[Reader], int]) -> int:
        """What `use` makes of a snapshot that begins with `tokens`; what is not right is removed, its reason logged.

        0 where it was refused, by the header, by `use` or by the system, or has made room for another meanwhile.
        """
        entry = self._entries.get(key)
        if entry is None:
            return 0
        try:
            with opened(entry.path) as reader:
                self._check(reader.header, owner, tokens)
                used = use(reader)
            os.utime(entry.path)
        except SnapshotRefused as refused:
            log.warning("snapshot %s refused: %s", key, refused.code)
            self.remove(key)
        except OSError as error:
            log.warning("snapshot %s cannot be read: %s", key, error)
            self._entries.pop(key, None)
        else:
            return used
        return 0

    def remove(self, key: str) -> None:
        if entry := self._entries.pop(key, None):
            entry.path.unlink(missing_ok=True)

    def _check(self, header: Header, owner: str, tokens: list[int]) -> None:
        if header.model != self._model:
            raise SnapshotRefused(Refusal.MODEL)
        if header.owner != owner:
            raise SnapshotRefused(Refusal.OWNER)
        if not header.tokens.startswith(packed(tokens)):
            raise SnapshotRefused(Refusal.TOKENS)

    def _usable(self, entry: Entry, shared: int) -> int:
        """How many of `shared` tokens can be restored."""
        if self._window is None or shared == len(entry.tokens) or len(entry.tokens) <= self._window:
            return shared
        return max((at for at in entry.positions if at <= shared), default=0)

    def _folder(self, place: Place) -> Path:
        return place.folder / FOLDER / self._model.hex()

    def _name(self, owner: str, tokens: list[int]) -> str:
        whose = hashlib.blake2b(owner.encode(), digest_size=NAME_BYTES).digest()
        return hashlib.blake2b(packed(tokens), key=whose, digest_size=NAME_BYTES).hexdigest()

    def _begin(self, place: Place, path: Path, header: Header) -> Writer | None:
        size = sum(part.size for part in header.parts)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fit(place, size)
            return Writer(path, header)
        except OSError as error:
            said = log.warning if error.errno in {errno.ENOSPC, errno.EDQUOT} else log.error
            said("no snapshot of %d MB: %s", size >> 20, error)
            return None

    def _fit(self, place: Place, size: int) -> None:
        """Remove what was unused for longest until `size` bytes fit into the budget and on the disk."""
        if size > place.budget:
            raise OSError(errno.EDQUOT, f"larger than the budget of {place.budget >> 20} MB")
        for file in trimmed(place.folder, min(place.budget, _used(place.folder) + _space(place.folder)) - size):
            self._entries.pop(file.stem, None)

    def _scan(self, place: Place) -> None:
        folder = self._folder(place)
        sweep(folder)
        for path in folder.glob(f"*{SUFFIX}"):
            try:
                header = read_header(path)
            except SnapshotRefused as refused:
                log.warning("snapshot %s refused: %s", path.stem, refused.code)
                path.unlink(missing_ok=True)
                continue
            except OSError:
                continue
            positions = tuple(part.position for part in header.parts[1:])
            self._entries[path.stem] = Entry(path, header.owner, unpacked(header.tokens), positions, place.tier)


def clean(folder: Path) -> None:
    """Remove what a crash has left of snapshots: that of a model which is never loaded again would stay."""
    for each in (folder / FOLDER).glob("*/"):
        sweep(each)


def retire(ram: Path, disk: Path, budget: int) -> None:
    """Move the snapshots of a RAM disk to `disk`, the latest used first, as far as `budget` bytes go; drop the rest."""
    for file in reversed(_by_age(ram)):
        size = file.stat().st_size
        if size <= min(budget, _space(disk) if disk.exists() else budget):
            trimmed(disk, budget - size, older_than=file.stat().st_mtime_ns)
            if _used(disk) + size <= budget and not _move(file, disk / file.relative_to(ram)):
                continue
        file.unlink(missing_ok=True)
    trimmed(disk, budget)


def trimmed(folder: Path, budget: int, *, older_than: int | None = None) -> list[Path]:
    """Remove the snapshots of all models that were unused for longest until the rest fits. Returns what went."""
    gone, total = [], _used(folder)
    for file in _by_age(folder):
        if total <= budget or (older_than is not None and file.stat().st_mtime_ns >= older_than):
            break
        total -= file.stat().st_size
        file.unlink(missing_ok=True)
        gone.append(file)
    return gone


def _move(file: Path, target: Path) -> bool:
    """Across file systems: copied beside, flushed, renamed; time and mode stay. False if it could not be done."""
    partial = partial_of(target)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy2(file, partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(target)
    except OSError as error:
        log.warning("snapshot %s stays on the RAM disk: %s", file.stem, error)
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        return False
    return True


def _by_age(folder: Path) -> list[Path]:
    found = {}
    for file in (folder / FOLDER).glob(f"*/*{SUFFIX}"):
        with contextlib.suppress(OSError):
            found[file] = file.stat().st_mtime_ns
    return sorted(found, key=lambda file: found[file])


def _used(folder: Path) -> int:
    return sum(file.stat().st_size for file in _by_age(folder))


def _space(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _shared(entry: Entry, tokens: list[int]) -> int:
    return min(common_prefix(entry.tokens, tokens), len(tokens) - 1)
