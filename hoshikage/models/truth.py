"""model_map.json itself: read, replaced and kept safe under a lock. Knows no entry and no projection."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock

from hoshikage import atomic
from hoshikage.errors import RegistryCorrupt
from hoshikage.models import mapfile
from hoshikage.models.blobs import FOLDER

log = logging.getLogger("hoshikage.models")

LOCK_SECONDS = 60


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

    @property
    def digests(self) -> Path:
        return self.home / "digests.json"

    @property
    def blobs(self) -> Path:
        """Where uploads and the layers of registries are put, named by their digests."""
        return self.home / FOLDER

    @property
    def models(self) -> Path:
        """Where pulled files are put."""
        return self.home / "models"


class Truth:
    """The map on the disk. Whatever a kill leaves behind is put right by the next reader."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._lock = FileLock(f"{files.model_map}.lock", timeout=LOCK_SECONDS)

    def lock(self) -> FileLock:
        """One for all processes; the same thread may take it again."""
        self.files.model_map.parent.mkdir(parents=True, exist_ok=True)
        return self._lock

    def read(self, *, set_aside: bool = False) -> mapfile.Raw:
        """The map, or its last good copy. With `set_aside`, a corrupt map is copied, since it will be replaced.

        Raises RegistryCorrupt.
        """
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

    def write(self, raw: mapfile.Raw, before: mapfile.Raw) -> bytes:
        """Replace the map; `before` is what stood there. Returns what is there now. Raises OSError."""
        if mapfile.is_legacy(before):
            self._modernise(raw)
        data = mapfile.encode(raw)
        atomic.write(self.files.model_map, data)
        return data

    def _modernise(self, raw: mapfile.Raw) -> None:
        """The first change to a map of version 1.0.0: keep the original, then write all entries in our form."""
        if self.files.model_map.exists() and not self.files.original.exists():
            atomic.write(self.files.original, self.files.model_map.read_bytes())
        for entry in mapfile.entries(raw, self.files.model_map.parent):
            raw[entry.name] = mapfile.raw_of(entry.stored, raw[entry.name])

    def _last_good(self, reason: str) -> mapfile.Raw:
        try:
            raw = mapfile.decode(self.files.last_good.read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            raise RegistryCorrupt(path=self.files.model_map, reason=reason) from None
        log.warning("%s cannot be read (%s); its last good copy is used", self.files.model_map, reason)
        return raw
