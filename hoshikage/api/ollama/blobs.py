"""HEAD and POST /api/blobs/:digest: files that are uploaded for a new model, hashed while they arrive."""

import asyncio
import contextlib
import hashlib
import os
import uuid
from pathlib import Path
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hoshikage import atomic
from hoshikage.api.errors import OllamaFault
from hoshikage.api.http import ClientLeft, services
from hoshikage.errors import DiskFull, ManifestUnusable
from hoshikage.models.blobs import hexadecimal, place
from hoshikage.models.disposal import UPLOAD
from hoshikage.models.space import filling

GATHERED_BYTES = 1 << 20


async def blob(request: Request) -> Response:
    """HEAD tells whether it is here; POST takes it, once, if it is what its digest says."""
    path = await place_of(request)
    here = await asyncio.to_thread(path.is_file)
    if request.method == "HEAD":
        return Response(status_code=200 if here else 404)
    if here:
        await asyncio.to_thread(os.utime, path)  # it is wanted now: not to be pruned before the model is made
        await skip(request)
        return Response()
    await received(request, path)
    return Response(status_code=201)


async def skip(request: Request) -> None:
    """Take what is left of the body: many clients read no answer before they have sent all, and would wait forever."""
    with contextlib.suppress(ClientDisconnect, RuntimeError):  # RuntimeError: all of it was read
        async for _ in request.stream():
            pass


async def place_of(request: Request) -> Path:
    try:
        return place(services(request).registry.files.home, str(request.path_params["digest"]).lower())
    except ManifestUnusable as error:
        await skip(request)
        raise OllamaFault(400, "invalid digest format") from error


async def received(request: Request, path: Path) -> None:
    """Write the body beside the blob, and give it its name if the digest is right. Raises OllamaFault or DiskFull."""
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    partial = path.with_name(f"{UPLOAD}{uuid.uuid4().hex}")
    try:
        with filling(path.parent, lambda: request.headers.get("content-length", "?")):
            with partial.open("wb", buffering=0) as file:
                actual = await written(request, file)
                await asyncio.to_thread(os.fsync, file.fileno())
            if actual != hexadecimal(str(request.path_params["digest"]).lower()):
                want = request.path_params["digest"]
                raise OllamaFault(400, f'digest mismatch, expected "{want}", got "sha256:{actual}"')
            await asyncio.to_thread(partial.replace, path)
            await asyncio.to_thread(atomic.sync_folder, path.parent)
    except (OSError, DiskFull):
        await skip(request)
        raise
    finally:
        partial.unlink(missing_ok=True)


async def written(request: Request, file: BinaryIO) -> str:
    """The sha256 of the body, which is written in pieces of a MiB by a thread."""
    digest, gathered = hashlib.sha256(), bytearray()

    def put(data: bytes) -> None:
        digest.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]

    try:
        async for chunk in request.stream():
            gathered += chunk
            if len(gathered) >= GATHERED_BYTES:
                await asyncio.to_thread(put, bytes(gathered))
                gathered.clear()
    except ClientDisconnect as error:
        raise ClientLeft from error
    await asyncio.to_thread(put, bytes(gathered))
    return digest.hexdigest()
