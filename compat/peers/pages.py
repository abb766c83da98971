"""Which pages of a file are in memory, and how they leave it. Linux; knows no model."""

import ctypes
import mmap
import os
import time
from pathlib import Path

PAGE = mmap.PAGESIZE
READ_BYTES = 1 << 20
IN_MEMORY = 1
"""The bit of mincore(2) that counts."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
FAILED = ctypes.c_void_p(-1).value


def drop(path: Path) -> None:
    """Have the file's pages leave the page cache; nobody may have it mapped.

    Raises AssertionError where some stay, as mincore(2) tells: then nothing that follows would be cold.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())  # a page that is still to be written stays
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    left = resident(path)
    assert left == 0, f"{left} pages of {path} stay in memory"


def resident(path: Path) -> int:
    """How many pages of the file are in memory. Raises OSError."""
    size = path.stat().st_size
    found = (ctypes.c_ubyte * -(-size // PAGE))()
    with path.open("rb") as file:
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address == FAILED:
        raise OSError(ctypes.get_errno(), f"{path} could not be mapped")
    try:
        if _libc.mincore(address, size, found):
            raise OSError(ctypes.get_errno(), f"mincore of {path}")
    finally:
        _libc.munmap(address, size)
    return sum(byte & IN_MEMORY for byte in found)


def disk_speed(path: Path) -> float:
    """Bytes a second of reading the cold file from its beginning to its end; it is cold again afterwards."""
    drop(path)
    started = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(READ_BYTES):
            pass
    spent = time.perf_counter() - started
    drop(path)
    return path.stat().st_size / spent


def read_from_disk(pid: int) -> int:
    """Bytes that a process has had read from disks, read ahead for its mappings included."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
