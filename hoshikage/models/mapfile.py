"""model_map.json as bytes and as entries, in our form and in that of version 1.0.0. Knows no lock and no projection."""

import codecs
import functools
import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from hoshikage.errors import BadName, FileMissing, NotGguf
from hoshikage.models.digests import Digest, sample_digest
from hoshikage.models.entry import LATEST_SECONDS, Entry, Facts, Stored, facts_of
from hoshikage.models.gguf import read_header
from hoshikage.models.looks import Look, look
from hoshikage.models.manifest import manifest
from hoshikage.models.names import fold

log = logging.getLogger("hoshikage.models")

Raw = dict[str, object]
"""The map as it is in the file: unknown keys and foreign forms are kept when it is rewritten."""
Known = Mapping[str, tuple[object, Entry]]
"""The entries that there were, by name, each with the value that it was made from."""
NONE: Known = {}
LookAt = Callable[[Path], Look]
"""Tells what a file is like, by an earlier look at it or by a new one."""


def decode(data: bytes) -> Raw:
    """The map in a file. Raises msgspec.MsgspecError or UnicodeDecodeError."""
    return msgspec.json.decode(data.removeprefix(codecs.BOM_UTF8), type=Raw)


def encode(raw: Raw) -> bytes:
    return msgspec.json.format(msgspec.json.encode(raw), indent=2) + b"\n"


def is_legacy(raw: Raw) -> bool:
    """Whether any entry has the form of version 1.0.0, or was written by hand."""
    return any(not isinstance(value, dict) or "facts" not in value for value in raw.values())


def entries(raw: Raw, folder: Path, known: Known = NONE, look_at: LookAt = look) -> tuple[Entry, ...]:
    """The entries that can be understood; the others are named in the log and left out.

    Where neither value nor file has changed, the entry is the one that is `known`.
    """
    found: dict[str, Entry] = {}
    for name, value in raw.items():
        try:
            key = fold(name)
            if key in found:
                raise BadName(name=f"{name} (again)")
            found[key] = same(value, known.get(name), look_at) or entry(name, value, folder, look_at)
        except (BadName, msgspec.ValidationError, RuntimeError, ValueError) as error:
            log.warning("model_map.json: '%s' is left out: %s", name, error)
    return tuple(found.values())


def same(value: object, known: tuple[object, Entry] | None, look_at: LookAt) -> Entry | None:
    """The entry that is known, if making it anew would find nothing else."""
    if (
        known is None
        or known[0] != value
        or not isinstance(value, dict)
        or "digest" not in value
        or "facts" not in value
    ):
        return None
    return known[1] if fits(known[1].stored.facts, look_at(known[1].file)) else None


def fits(facts: Facts, found: Look) -> bool:
    """Whether they are those of the file as it was found."""
    return found is not None and (found.st_size, found.st_mtime_ns) == (facts.size, facts.mtime_ns)


def entry(name: str, value: object, folder: Path, look_at: LookAt) -> Entry:
    """An entry, completed from its file's header where that is newer than what is stored."""
    stored = resolved(msgspec.convert(modern(value), Stored), folder)
    file = Path(stored.path)
    return Entry(name=name, file=file, stored=completed(stored, file, look_at(file)))


def resolved(stored: Stored, folder: Path) -> Stored:
    """With absolute paths; relative ones count from `folder`."""

    def at(path: str) -> str:
        return str((folder / Path(path).expanduser()).absolute())

    return msgspec.structs.replace(
        stored,
        path=at(stored.path),
        adapters=tuple(map(at, stored.adapters)),
        projectors=tuple(map(at, stored.projectors)),
        draft=stored.draft and at(stored.draft),
    )


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


def completed(stored: Stored, file: Path, status: Look) -> Stored:
    """With facts and digest for the file as it was found; what is not known yet comes from samples of its files."""
    try:
        if status is None:
            raise FileMissing(path=file)
        if not fits(stored.facts, status):
            facts = _facts(file, status.st_size, status.st_mtime_ns)
            stored = msgspec.structs.replace(stored, facts=facts, digest="")
        if not stored.digest:
            made = manifest(stored, sampled)
            stored = msgspec.structs.replace(stored, digest=made.digest, size=made.size, exact=False)
        created = stored.created or min(max(status.st_mtime, 0.0), LATEST_SECONDS)
        return msgspec.structs.replace(stored, created=created)
    except (OSError, FileMissing, NotGguf):
        digest = stored.digest or hashlib.sha256(str(file).encode()).hexdigest()
        return msgspec.structs.replace(stored, digest=digest)


def sampled(path: Path) -> Digest:
    """What stands for a file's digest until it is hashed. Raises OSError."""
    status = path.stat()
    return Digest(_sample(path, status.st_size, status.st_mtime_ns), False, status.st_size)


@functools.lru_cache(maxsize=512)
def _facts(file: Path, _size: int, _mtime_ns: int) -> Facts:
    """Keyed by size and mtime, so that a header is read once a version of the file."""
    return facts_of(file, read_header(file))


@functools.lru_cache(maxsize=512)
def _sample(file: Path, _size: int, _mtime_ns: int) -> str:
    return sample_digest(file)


def raw_of(stored: Stored, before: object = None) -> dict[str, object]:
    """What is written for an entry: our fields, and what else stood there. A default is written by its absence."""
    ours = {*Stored.__struct_fields__, "model"}
    kept = {key: value for key, value in before.items() if key not in ours} if isinstance(before, Mapping) else {}
    return {**kept, **msgspec.to_builtins(stored)}
