"""The file of a KV snapshot: written beside and renamed, verified before it is used. Knows no llama.cpp.

    8 bytes  MAGIC
    4 bytes  length of the header, little endian
    16 bytes xxh3-128 of MAGIC, length and header
    header   MessagePack of a Header
    body     the parts, one behind the other, each with its xxh3-128 in the header

The first part is the whole state of a sequence, the others are checkpoints of its sliding-window layers.
"""

import array
import contextlib
import ctypes
import fcntl
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
import xxhash
from msgspec import Struct

MAGIC = b"HOSHIKV1"
LENGTH_BYTES, DIGEST_BYTES = 4, 16
PREFACE_BYTES = len(MAGIC) + LENGTH_BYTES + DIGEST_BYTES
HEADER_BYTES_MAX = 1 << 28
SUFFIX, PARTIAL = ".kv", ".partial"
NO_DIGEST = bytes(DIGEST_BYTES)


class Refusal(StrEnum):
    """Why a snapshot is not used."""

    MAGIC = "magic"
    HEADER = "header"
    MODEL = "model"
    OWNER = "owner"
    TOKENS = "tokens"
    LENGTH = "length"
    BODY = "body"
    STATE = "state"


class SnapshotRefused(Exception):
    """The file must not be used, and is to be removed."""

    def __init__(self, code: Refusal) -> None:
        super().__init__(f"snapshot refused: {code}")
        self.code = code


class Part(Struct, frozen=True, array_like=True):
    """`size` bytes that belong to the first `position` tokens."""

    position: int
    size: int
    digest: bytes = NO_DIGEST


class Header(Struct, frozen=True, array_like=True):
    """`model` is the fingerprint of weights, KV type and adapters; `tokens` are int32, little endian."""

    model: bytes
    owner: str
    tokens: bytes
    parts: tuple[Part, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Header).decode


def packed(tokens: Sequence[int]) -> bytes:
    values = array.array("i", tokens)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def unpacked(data: bytes) -> list[int]:
    values = array.array("i", data[: len(data) // 4 * 4])
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


class View:
    """A mapped file: the address of a byte for C, slices for Python. Close it before the file goes."""

    def __init__(self, file: int, size: int, access: int) -> None:
        self._map = mmap.mmap(file, size, access=access)
        self._pin = ctypes.c_uint8.from_buffer(self._map)
        self.size = size

    def address(self, offset: int) -> int:
        return ctypes.addressof(self._pin) + offset

    def digest(self, start: int, size: int) -> bytes:
        """The xxh3-128 of a range, which is read where it lies."""
        with memoryview(self._map) as whole, whole[start : start + size] as part:
            return xxhash.xxh3_128_digest(part)

    def read(self, start: int, size: int) -> bytes:
        return self._map[start : start + size]

    def write(self, start: int, data: bytes) -> None:
        self._map[start : start + len(data)] = data

    def close(self) -> None:
        del self._pin
        self._map.close()


class Writer:
    """A snapshot in the making. Fill each part at `address(index)`, then publish(); close() leaves no partial file.

    Raises OSError; ENOSPC before anything is filled, since all blocks are reserved at the start.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.published = False
        self._path, self._header = path, header
        self._partial = partial_of(path)
        self._starts = _starts(header)
        size = self._starts[-1]
        file = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with contextlib.suppress(OSError):  # a file system without locks: sweep() takes nothing there
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reserve(file, size)
            self._view = View(file, size, mmap.ACCESS_WRITE)
        except OSError:
            self._partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)

    def address(self, index: int) -> int:
        return self._view.address(self._starts[index])

    def put(self, index: int, data: bytes) -> None:
        self._view.write(self._starts[index], data)

    def publish(self) -> None:
        """Write checksums and header, then give the file its name."""
        parts = [
            Part(part.position, part.size, self._view.digest(start, part.size))
            for part, start in zip(self._header.parts, self._starts, strict=False)
        ]
        head = msgspec.structs.replace(self._header, parts=tuple(parts))
        self._view.write(0, preface(head))
        self._partial.replace(self._path)
        self._view.close()
        self.published = True

    def close(self) -> None:
        with contextlib.suppress(AttributeError):  # published: closed already
            self._view.close()
        self._partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """What a snapshot is called while this process writes it: two that write the same one have a file each."""
    return path.with_suffix(f".{os.getpid()}{PARTIAL}")


def sweep(folder: Path) -> None:
    """Remove what killed processes have left of snapshots; what is being written is locked by its map, and stays."""
    for partial in folder.glob(f"*{PARTIAL}"):
        with contextlib.suppress(OSError), partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()


def preface(header: Header) -> bytes:
    """All that comes before the body."""
    body = _encode(header)
    length = len(body).to_bytes(LENGTH_BYTES, "little")
    return MAGIC + length + xxhash.xxh3_128_digest(MAGIC + length + body) + body


def read_header(path: Path) -> Header:
    """The verified header of a file. Raises SnapshotRefused or OSError."""
    with path.open("rb") as file:
        start = file.read(PREFACE_BYTES)
        length = _header_length(start)
        return _checked(start, file.read(length), path.stat().st_size)


class Reader:
    """An open snapshot, whose header is verified; a part is verified when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.header = read_header(path)
        self._starts = _starts(self.header)
        with path.open("rb") as file:
            self._view = View(file.fileno(), self._starts[-1], mmap.ACCESS_COPY)

    def address(self, index: int) -> int:
        """Where the part lies in memory. Raises SnapshotRefused if its checksum is wrong."""
        self._verify(index)
        return self._view.address(self._starts[index])

    def bytes(self, index: int) -> bytes:
        self._verify(index)
        return self._view.read(self._starts[index], self.header.parts[index].size)

    def close(self) -> None:
        self._view.close()

    def _verify(self, index: int) -> None:
        part = self.header.parts[index]
        if self._view.digest(self._starts[index], part.size) != part.digest:
            raise SnapshotRefused(Refusal.BODY)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Reader]:
    reader = Reader(path)
    try:
        yield reader
    finally:
        reader.close()


def _header_length(start: bytes) -> int:
    if start[: len(MAGIC)] != MAGIC:
        raise SnapshotRefused(Refusal.MAGIC)
    length = int.from_bytes(start[len(MAGIC) : len(MAGIC) + LENGTH_BYTES], "little")
    if len(start) < PREFACE_BYTES or length > HEADER_BYTES_MAX:
        raise SnapshotRefused(Refusal.HEADER)
    return length


def _checked(start: bytes, body: bytes, size: int) -> Header:
    covered = start[: len(MAGIC) + LENGTH_BYTES] + body
    if xxhash.xxh3_128_digest(covered) != start[len(MAGIC) + LENGTH_BYTES :]:
        raise SnapshotRefused(Refusal.HEADER)
    header = _decode(body)
    if _starts(header)[-1] != size or not header.parts:
        raise SnapshotRefused(Refusal.LENGTH)
    return header


def _starts(header: Header) -> list[int]:
    """The offset of each part, and the end of the file. The checksums have one size, whatever they are."""
    starts = [PREFACE_BYTES + len(_encode(header))]
    for part in header.parts:
        starts.append(starts[-1] + part.size)
    return starts


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)
