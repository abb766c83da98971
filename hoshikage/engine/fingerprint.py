"""Which model a file holds, by samples of its bytes: in milliseconds, and the same wherever a copy of it lies."""

import os
from pathlib import Path

import xxhash

HEAD_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
SAMPLES = 64


def fingerprint(path: Path, *more: str) -> bytes:
    """16 bytes of xxh3-128 over size, head and evenly spread samples of the file, and `more`. Raises OSError."""
    size = path.stat().st_size
    digest = xxhash.xxh3_128(repr((size, more)).encode())
    with path.open("rb") as file:
        digest.update(file.read(HEAD_BYTES))
        for index in range(SAMPLES):
            file.seek(max(0, size - SAMPLE_BYTES) * index // (SAMPLES - 1), os.SEEK_SET)
            digest.update(file.read(SAMPLE_BYTES))
    return digest.digest()
