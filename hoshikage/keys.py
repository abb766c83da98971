"""API keys: who may ask for what, and whose conversations are whose. Knows no HTTP.

A secret is 256 random bits, so its plain sha256 gives nothing away; a slow and salted hash is for what people think up.
keys.json holds these hashes only. HOSHIKAGE_API_KEYS gives further secrets, which may do everything.
"""

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from filelock import FileLock
from msgspec import Meta, Struct

from hoshikage import atomic
from hoshikage.errors import KeyNameTaken, KeyNotFound, KeysCorrupt
from hoshikage.settings import Settings

log = logging.getLogger("hoshikage.keys")

LOCK_SECONDS = 60
SECRET_BYTES = 32
ID_BYTES = 6
ENVIRONMENT = "HOSHIKAGE_API_KEYS"
PRIVATE = 0o600

Equal = Callable[[str, str], bool]


class Scope(StrEnum):
    """What a key may do: talk to models, change which models there are, or all that there is."""

    CHAT = "chat"
    MODELS = "models"
    ADMIN = "admin"


class Quota(Struct, frozen=True):
    """What a key may ask: so many requests at once, waiting ones too, and so many a minute; 0 = any number."""

    at_once: int = 0
    per_minute: int = 0


ANY = Quota()
Count = Annotated[int, Meta(ge=0)]


class Key(Struct, frozen=True, kw_only=True):
    """A key without its secret. `id` is the owner of what is said with it; `created` in unix seconds.

    An id holds no slash: what follows one in an owner is a user of that key.
    """

    id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]{1,64}\Z")]
    name: str
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)]
    created: float = 0.0
    at_once: Count = 0
    per_minute: Count = 0

    def may(self, scopes: Iterable[Scope]) -> bool:
        """Whether it has one of the scopes, or the one that stands for all."""
        return any(scope in self.scopes for scope in (*scopes, Scope.ADMIN))


class Ring(Struct, frozen=True):
    """The keys of one moment. `required` also where the last one was revoked: a key that goes must open no door."""

    keys: tuple[Key, ...]
    required: bool

    def match(self, presented: Iterable[bytes], equal: Equal = hmac.compare_digest) -> Key | None:
        """The key to one of the presented secrets. Each is compared with every key, whether one was found or not."""
        found = None
        for digest in map(digest_of, presented):
            for key in self.keys:
                if equal(key.sha256, digest):
                    found = key
        return found


class Written(Struct, frozen=True):
    """The content of keys.json."""

    keys: tuple[Key, ...] = ()


class Uses:
    """When each key was used last, in unix seconds. Only `flush` writes, so that no request waits for the disk."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._new: dict[str, float] = {}

    def note(self, key: Key) -> None:
        self._new[key.id] = time.time()

    def read(self) -> dict[str, float]:
        """By key id, as last flushed. Losing the file costs nothing else."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, float])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}

    def flush(self) -> None:
        """Write what was noted since; what cannot be written is kept for the next time."""
        new, self._new = self._new, {}
        if not new:
            return
        try:
            with FileLock(f"{self._file}.lock", timeout=LOCK_SECONDS):
                atomic.write(self._file, msgspec.json.encode(self.read() | new), PRIVATE)
        except OSError as error:
            self._new = new | self._new
            log.warning("%s: %s", self._file, error)


class Keys:
    """The keys of one home, and those of the environment by their hashes."""

    def __init__(self, home: Path, hashes: Sequence[str] = ()) -> None:
        self.file = home / "keys.json"
        self.uses = Uses(home / "keys_used.json")
        self._environment = tuple(map(_from_environment, dict.fromkeys(hashes)))
        self._seen: tuple[int, int, int] | None = None
        self._ring: Ring | None = None

    def ring(self) -> Ring:
        """The keys as they are now, whoever has changed them; costs one look at the disk.

        A file that is broken later takes no key away and opens nothing. Raises KeysCorrupt where it was from the start.
        """
        seen = _signature(self.file)
        if self._ring is None or seen != self._seen:
            self._ring = self._looked(self._ring)
            self._seen = seen
        return self._ring

    def quota(self, id_: str) -> Quota | None:
        """What the key of that id may ask, as it is now; None for an owner without a key."""
        found = next((key for key in self.ring().keys if key.id == id_), None)
        return None if found is None else Quota(found.at_once, found.per_minute)

    def add(self, name: str, scopes: Sequence[Scope], quota: Quota = ANY) -> tuple[Key, str]:
        """A new key and its secret, which is kept nowhere. Raises KeyNameTaken, KeysCorrupt or OSError."""
        secret = f"hk-{secrets.token_urlsafe(SECRET_BYTES)}"
        made = Key(
            id=secrets.token_hex(ID_BYTES),
            name=name,
            sha256=digest_of(secret.encode()),
            scopes=tuple(dict.fromkeys(scopes)),
            created=time.time(),
            at_once=quota.at_once,
            per_minute=quota.per_minute,
        )
        with self._lock():
            keys = self._read()
            if any(name in {key.name, key.id} for key in keys):
                raise KeyNameTaken(name=name)
            self._write((*keys, made))
        return made, secret

    def revoke(self, name: str) -> tuple[Key, int]:
        """Take away the key of that name or id; how many are left. Raises KeyNotFound, KeysCorrupt or OSError."""
        with self._lock():
            keys = self._read()
            gone = next((key for key in keys if name in {key.name, key.id}), None)
            if gone is None:
                raise KeyNotFound(name=name)
            self._write(tuple(key for key in keys if key is not gone))
        return gone, len(keys) - 1 + len(self._environment)

    def open(self) -> None:
        """Need no key any more, if there is none. Raises KeysCorrupt or OSError."""
        with self._lock():
            if not self._read():
                self.file.unlink(missing_ok=True)

    def _lock(self) -> FileLock:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{self.file}.lock", timeout=LOCK_SECONDS)

    def _looked(self, last: Ring | None) -> Ring:
        try:
            return Ring((*self._environment, *self._read()), bool(self._environment) or self.file.exists())
        except KeysCorrupt as error:
            if last is None:
                raise
            log.error("%s; the keys stay as they were", error)
            return Ring(last.keys, required=True)

    def _read(self) -> tuple[Key, ...]:
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=Written).keys
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise KeysCorrupt(path=self.file, reason=error) from error

    def _write(self, keys: tuple[Key, ...]) -> None:
        atomic.write(self.file, msgspec.json.format(msgspec.json.encode(Written(keys))) + b"\n", PRIVATE)


def keys_of(settings: Settings) -> Keys:
    return Keys(settings.home, settings.api_keys)


def digest_of(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _from_environment(sha256: str) -> Key:
    """Its id is the same after a restart, so that its conversations go on."""
    return Key(id=f"env-{sha256[: 2 * ID_BYTES]}", name=ENVIRONMENT, sha256=sha256, scopes=(Scope.ADMIN,))


def _signature(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
