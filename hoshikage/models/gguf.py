"""Reads the header of a GGUF file: metadata and tensor list, every size checked before it is believed.

It reads no weights and does not know llama.cpp. Long arrays (vocabularies) are counted and skipped, not kept.
"""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import BinaryIO

import msgspec

from hoshikage.errors import FileMissing, NotGguf
from hoshikage.models.ggml_types import FILE_TYPES, TENSOR_TYPES
from hoshikage.models.soundness import MAPPED_ALIGNMENT, fault, type_fault

MIB = 1024 * 1024
HEADER_LIMIT_BYTES = 256 * MIB  # the largest known vocabularies need about 20 MiB
TEXT_LIMIT_BYTES = 4 * MIB
KEY_LIMIT_BYTES = 65_535
COUNT_LIMIT = 65_536  # keys, and tensors
MAX_DIMS = 4  # GGML_MAX_DIMS
KEEP = 64
_CHUNK_BYTES = MIB
_INT64_MAX = 2**63 - 1
_STRING, _ARRAY = 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_SCALARS = {
    kind: struct.Struct("<" + code)
    for kind, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
_KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array")
_KIND_NAMES = dict(enumerate((*_KINDS, "uint64", "int64", "float64")))


class Array(msgspec.Struct, frozen=True):
    """Stands for an array that was too long to keep."""

    type: str
    length: int


class Tensor(msgspec.Struct, frozen=True):
    """`offset` counts from the start of the data section; `shape` has the fastest dimension first."""

    name: str
    type: int
    shape: tuple[int, ...]
    offset: int

    @property
    def type_name(self) -> str:
        return TENSOR_TYPES[self.type][0]

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def size(self) -> int:
        _, block, width = TENSOR_TYPES[self.type]
        return self.elements // block * width


class Header(msgspec.Struct, frozen=True):
    version: int
    metadata: dict[str, object]
    tensors: tuple[Tensor, ...]
    data_offset: int

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or ""

    @property
    def parameter_count(self) -> int:
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def parameter_size(self) -> str:
        return human_count(self.parameter_count)

    @property
    def file_type(self) -> str:
        return FILE_TYPES.get(self.integer("general.file_type", -1), "unknown")

    @property
    def context_length(self) -> int:
        """0 if the file does not say."""
        return self.integer(f"{self.architecture}.context_length")

    @property
    def embedding_length(self) -> int:
        """0 if the file does not say."""
        return self.integer(f"{self.architecture}.embedding_length")

    @property
    def chat_template(self) -> str | None:
        return self.text("tokenizer.chat_template")

    @property
    def has_pooling(self) -> bool:
        return f"{self.architecture}.pooling_type" in self.metadata

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str, default: int = 0) -> int:
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else default


def human_count(count: int) -> str:
    """Ollama's text for a number of parameters: 134.52M, 8.0B as 8B, 999K."""
    for unit, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= unit:
            return f"{count / unit:.{0 if count % unit == 0 else digits}f}{letter}"
    return str(count)


def read_header(path: Path, keep: int = KEEP) -> Header:
    """The header of the file at `path`; arrays longer than `keep` become `Array`. Raises FileMissing or NotGguf."""
    try:
        with _opened(path) as (file, size):
            return _header(_Cursor(file, size), keep, size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileMissing(path=path) from error
    except OSError as error:
        raise NotGguf(path=path, reason=error.strerror or "it cannot be read") from error
    except _Fault as fault:
        raise NotGguf(path=path, reason=fault.reason) from None


class _Fault(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    if "\0" in str(path):
        raise FileNotFoundError(str(path))
    # Looked at before it is opened, since opening a device can do something; and again after it.
    if not stat.S_ISREG(path.stat().st_mode):
        raise _Fault("it is not a regular file")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb", buffering=0) as file:  # noqa: PTH123 - by descriptor
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _Fault("it is not a regular file")
        yield file, found.st_size


class _Cursor:
    """A position in the file with a buffer of one chunk. `what` names what is being read, for the messages."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._data = b""
        self._base = 0
        self._pos = 0
        self.what = "the header"

    @property
    def at(self) -> int:
        return self._base + self._pos

    def check(self, count: int) -> None:
        """`count` more bytes must lie inside the file and inside the limit."""
        missing = self.at + count - self._size
        if missing > 0:
            raise _Fault(f"the file ends inside {self.what}: {missing} bytes are missing")
        if self.at + count > HEADER_LIMIT_BYTES:
            raise _Fault(f"the header is longer than {HEADER_LIMIT_BYTES // MIB} MiB")

    def take(self, count: int) -> bytes:
        self._fill(count)
        data = self._data[self._pos : self._pos + count]
        self._pos += count
        return data

    def skip(self, count: int) -> None:
        self.check(count)
        self._pos += count

    def u32(self) -> int:
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self.take(8))[0])

    def text(self, limit: int = TEXT_LIMIT_BYTES) -> str:
        length = self.u64()
        self.check(length)
        if length > limit:
            raise _Fault(f"{self.what} has a text of {length} bytes, more than {limit}")
        return self.take(length).decode("utf-8", "replace")

    def skip_texts(self, count: int) -> None:
        unpack = _U64.unpack_from
        while count:
            self._fill(8)
            data, pos, last = self._data, self._pos, len(self._data) - 8
            while count and pos <= last:
                pos += 8 + unpack(data, pos)[0]
                count -= 1
            self.skip(pos - self._pos)

    def _fill(self, count: int) -> None:
        if self._pos + count <= len(self._data):
            return
        self.check(count)
        self._base += self._pos
        self._pos = 0
        self._file.seek(self._base)
        self._data = self._file.read(max(count, _CHUNK_BYTES)) or b""
        if len(self._data) < count:  # it was cut while we read
            raise _Fault(f"the file ends inside {self.what}: {count - len(self._data)} bytes are missing")


def _header(cursor: _Cursor, keep: int, size: int) -> Header:
    version = _version(cursor)
    tensor_count, key_count = cursor.u64(), cursor.u64()
    if tensor_count > COUNT_LIMIT or key_count > COUNT_LIMIT:
        raise _Fault(f"it claims {tensor_count} tensors and {key_count} keys; at most {COUNT_LIMIT} are read")
    metadata = _metadata(cursor, key_count, keep)
    alignment = _alignment(metadata)
    tensors = _tensors(cursor, tensor_count)
    data_offset = -(-cursor.at // alignment) * alignment
    for tensor in tensors:
        _check_place(tensor, alignment, size - data_offset)
    _check_soundness(metadata, tensors, data_offset)
    return Header(version, metadata, tensors, data_offset)


def _version(cursor: _Cursor) -> int:
    if cursor.take(4) != b"GGUF":
        raise _Fault("no GGUF magic at its start")
    version = cursor.u32()
    if version and version & 0xFFFF == 0:
        raise _Fault("it is a big-endian file")
    if version not in {2, 3}:
        raise _Fault(f"GGUF version {version}; versions 2 and 3 are read")
    return version


def _metadata(cursor: _Cursor, count: int, keep: int) -> dict[str, object]:
    metadata: dict[str, object] = {}
    for index in range(count):
        cursor.what = f"key {index + 1} of {count}"
        key = cursor.text(KEY_LIMIT_BYTES)
        if key in metadata:
            raise _Fault(f"the key {key!r} is there twice")
        cursor.what = f"the value of {key!r}"
        metadata[key] = _value(cursor, cursor.u32(), keep)
    return metadata


def _value(cursor: _Cursor, kind: int, keep: int) -> object:
    if kind == _STRING:
        return cursor.text()
    if kind == _ARRAY:
        return _array(cursor, keep)
    return _scalars(cursor, kind, 1)[0]


def _array(cursor: _Cursor, keep: int) -> object:
    kind, count = cursor.u32(), cursor.u64()
    if kind == _ARRAY:
        raise _Fault(f"{cursor.what} is an array of arrays")
    if kind != _STRING and kind not in _SCALARS:
        raise _Fault(f"{cursor.what} has the unknown type {kind}")
    width = 8 if kind == _STRING else _SCALARS[kind].size
    cursor.check(count * width)
    if count <= keep:
        return [cursor.text() for _ in range(count)] if kind == _STRING else _scalars(cursor, kind, count)
    if kind == _STRING:
        cursor.skip_texts(count)
    else:
        cursor.skip(count * width)
    return Array(_KIND_NAMES[kind], count)


def _scalars(cursor: _Cursor, kind: int, count: int) -> list[object]:
    form = _SCALARS.get(kind)
    if form is None:
        raise _Fault(f"{cursor.what} has the unknown type {kind}")
    return [value for (value,) in form.iter_unpack(cursor.take(form.size * count))]


def _alignment(metadata: dict[str, object]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise _Fault(f"general.alignment is {alignment!r}, not a power of two")
    return int(alignment)


def _tensors(cursor: _Cursor, count: int) -> tuple[Tensor, ...]:
    tensors: dict[str, Tensor] = {}
    for index in range(count):
        cursor.what = f"the entry of tensor {index + 1} of {count}"
        tensor = _tensor(cursor)
        if tensor.name in tensors:
            raise _Fault(f"the tensor {tensor.name!r} is there twice")
        tensors[tensor.name] = tensor
    return tuple(tensors.values())


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text(KEY_LIMIT_BYTES)
    dims = cursor.u32()
    if dims > MAX_DIMS:
        raise _Fault(f"tensor {name} has {dims} dimensions, more than {MAX_DIMS}")
    shape = tuple(cursor.u64() for _ in range(dims))
    kind, offset = cursor.u32(), cursor.u64()
    if kind not in TENSOR_TYPES:
        raise _Fault(f"tensor {name} has the unknown type {kind}")
    if prod(shape) > _INT64_MAX or 0 in shape:
        raise _Fault(f"tensor {name} has the impossible shape {list(shape)}")
    if (shape[0] if shape else 1) % TENSOR_TYPES[kind][1]:
        raise _Fault(f"tensor {name} has rows of {shape[:1]} elements, not whole blocks of {TENSOR_TYPES[kind][0]}")
    return Tensor(name, kind, shape, offset)


def _check_place(tensor: Tensor, alignment: int, room: int) -> None:
    if tensor.offset % alignment:
        raise _Fault(f"tensor {tensor.name} starts at {tensor.offset}, which is not a multiple of {alignment}")
    missing = tensor.offset + tensor.size - room
    if missing > 0:
        raise _Fault(f"the file ends inside tensor {tensor.name}: {missing} bytes are missing")


def _check_soundness(metadata: dict[str, object], tensors: tuple[Tensor, ...], data_offset: int) -> None:
    start = data_offset + min((tensor.offset for tensor in tensors), default=0)
    if tensors and start % MAPPED_ALIGNMENT:
        raise _Fault(f"its tensors start at {start}, which is not a multiple of {MAPPED_ALIGNMENT}")
    reason = fault(metadata) or next(filter(None, (type_fault(each.name, each.type) for each in tensors)), None)
    if reason:
        raise _Fault(reason)
