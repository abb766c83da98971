"""model_map.json as bytes and as entries, in our form and in that of version 1.0.0. Knows no lock and no projection."""

import codecs
import functools
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hoshikage.errors import BadName, FileMissing, NotGguf
from hoshikage.models.entry import LATEST_SECONDS, Entry, Facts, Stored, facts_of
from hoshikage.models.gguf import read_header
from hoshikage.models.manifest import manifest, sample_digest
from hoshikage.models.names import fold

log = logging.getLogger("hoshikage.models")

Raw = dict[str, object]
"""The map as it is in the file: unknown keys and foreign forms are kept when it is rewritten."""


def decode(data: bytes) -> Raw:
    """The map in a file. Raises msgspec.MsgspecError or UnicodeDecodeError."""
    return msgspec.json.decode(data.removeprefix(codecs.BOM_UTF8), type=Raw)


def encode(raw: Raw) -> bytes:
    return msgspec.json.format(msgspec.json.encode(raw), indent=2) + b"\n"


def is_legacy(raw: Raw) -> bool:
    """Whether any entry has the form of version 1.0.0, or was written by hand."""
    return any(not isinstance(value, Mapping) or "facts" not in value for value in raw.values())


def entries(raw: Raw, folder: Path) -> tuple[Entry, ...]:
    """The entries that can be understood; the others are named in the log and left out."""
    found: dict[str, Entry] = {}
    for name, value in raw.items():
        try:
            key = fold(name)
            if key in found:
                raise BadName(name=f"{name} (again)")
            found[key] = entry(name, value, folder)
        except (BadName, msgspec.ValidationError, RuntimeError, ValueError) as error:
            log.warning("model_map.json: '%s' is left out: %s", name, error)
    return tuple(found.values())


def entry(name: str, value: object, folder: Path) -> Entry:
    """An entry, completed from its file's header where that is newer than what is stored."""
    stored = msgspec.convert(modern(value), Stored)
    file = (folder / Path(stored.path).expanduser()).absolute()
    return Entry(name=name, file=file, stored=completed(stored, file))


def modern(value: object) -> object:
    """Our form of an entry of version 1.0.0: a path, or a folder, a file name and stop strings."""
    if isinstance(value, str):
        return {"path": value}
    if not isinstance(value, Mapping):
        return value
    given = {key: each for key, each in value.items() if each is not None}
    if isinstance(given.get("model"), str):
        given["path"] = str(Path(str(given.get("path", ""))) / str(given.pop("model")))
    return {**given, "stop": stops(given.get("stop"))}


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
        created = stored.created or min(max(status.st_mtime, 0.0), LATEST_SECONDS)
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
    """What is written for an entry: our fields, and what else stood there. A default is written by its absence."""
    ours = {*Stored.__struct_fields__, "model"}
    kept = {key: value for key, value in before.items() if key not in ours} if isinstance(before, Mapping) else {}
    return {**kept, **msgspec.to_builtins(stored)}
