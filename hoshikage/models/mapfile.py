"""model_map.json as bytes and as entries, in our form and in that of version 1.0.0. Knows no lock and no projection."""

import functools
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hoshikage.errors import BadName, FileMissing, NotGguf
from hoshikage.models.entry import Entry, Facts, Stored, facts_of
from hoshikage.models.gguf import read_header
from hoshikage.models.manifest import manifest, sample_digest
from hoshikage.models.names import fold

log = logging.getLogger("hoshikage.models")

Raw = dict[str, object]
"""The map as it is in the file: unknown keys and foreign forms are kept when it is rewritten."""


def decode(data: bytes) -> Raw:
    """The map in a file. Raises msgspec.MsgspecError or UnicodeDecodeError."""
    return msgspec.json.decode(data, type=Raw) if data.strip() else {}


def encode(raw: Raw) -> bytes:
    return msgspec.json.format(msgspec.json.encode(raw), indent=2) + b"\n"


def is_legacy(raw: Raw) -> bool:
    """Whether any entry has the form of version 1.0.0, or was written by hand."""
    return any(not isinstance(value, Mapping) or "facts" not in value for value in raw.values())


def entries(raw: Raw, folder: Path) -> tuple[Entry, ...]:
    """The entries that can be understood; the others are named in the log and left out."""
    found = []
    for name, value in raw.items():
        try:
            fold(name)
            found.append(entry(name, value, folder))
        except (BadName, msgspec.ValidationError) as error:
            log.warning("model_map.json: '%s' is left out: %s", name, error)
    return tuple(found)


def entry(name: str, value: object, folder: Path) -> Entry:
    """An entry, completed from its file's header where that is newer than what is stored."""
    stored = msgspec.convert(modern(value), Stored)
    file = (folder / Path(stored.path).expanduser()).absolute()
    return Entry(name=name, file=file, stored=completed(stored, file))


def modern(value: object) -> object:
    """Our form of an entry of version 1.0.0: a path, or a folder, a file name and stop strings."""
    if isinstance(value, str):
        return {"path": value}
    if isinstance(value, Mapping) and isinstance(value.get("model"), str):
        path = str(Path(str(value.get("path") or "")) / str(value["model"]))
        rest = {key: each for key, each in value.items() if key not in {"path", "model"}}
        return {**rest, "path": path, "stop": stops(value.get("stop"))}
    return value


def stops(value: object) -> object:
    return [value] if isinstance(value, str) else value or []


def completed(stored: Stored, file: Path) -> Stored:
    try:
        status = file.stat()
        same = (status.st_size, status.st_mtime_ns) == (stored.facts.size, stored.facts.mtime_ns)
        facts = stored.facts if same else _facts(file, status.st_size, status.st_mtime_ns)
        changed = not same or not stored.digest
        digest = _provisional(file, facts) if changed else stored.digest
        exact = stored.exact and not changed
        created = stored.created or status.st_mtime
    except (OSError, FileMissing, NotGguf):
        facts, exact, created = stored.facts, stored.exact, stored.created
        digest = stored.digest or hashlib.sha256(str(file).encode()).hexdigest()
    return msgspec.structs.replace(stored, facts=facts, digest=digest, exact=exact, created=created)


@functools.lru_cache(maxsize=512)
def _facts(file: Path, _size: int, _mtime_ns: int) -> Facts:
    """Keyed by size and mtime, so that a header is read once a version of the file."""
    return facts_of(file, read_header(file))


@functools.lru_cache(maxsize=512)
def _provisional(file: Path, facts: Facts) -> str:
    return hashlib.sha256(manifest(facts, sample_digest(file))).hexdigest()


def raw_of(stored: Stored, before: object = None) -> dict[str, object]:
    """What is written for an entry: ours over what else stood there."""
    kept = {key: value for key, value in before.items() if key != "model"} if isinstance(before, Mapping) else {}
    return {**kept, **msgspec.to_builtins(stored)}
