"""Many clients of one server: raw sockets, which tell a reset from an answer, and what the gateway takes meanwhile."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.program import Program

PATIENCE_SECONDS = 60
"""Of a client's whole life; none comes near it unless it hangs."""
SHORT = {"model": "starter", "prompt": "One two three", "raw": True, "options": {"num_predict": 8}}
LONG = {"model": "starter", "prompt": "Once upon a time", "raw": True, "options": {"num_predict": 4000}}


def memory_mib(program: Program, what: str) -> float:
    """The gateway's: VmRSS is now, VmHWM was the peak."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{program.process.pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def queue(program: Program, key: str = "") -> Any:
    return httpx.get(f"{program.url}/v1/status", headers=bearer(key), timeout=60).json()["admission"]


def is_served(program: Program) -> bool:
    reply = httpx.post(f"{program.url}/api/generate", json={**SHORT, "stream": False}, timeout=60)
    return reply.status_code == 200 and bool(reply.json()["done"])


def post(body: object, key: str = "") -> bytes:
    """A request for one answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = ["POST /api/generate HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in bearer(key).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def connected(program: Program) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(program.url)
    return await asyncio.open_connection(url.hostname, url.port)


async def answer(program: Program, asked: bytes) -> tuple[int, int]:
    """Status and Retry-After (0 = none) of a client that writes all before it reads. Raises what a reset raises."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await connected(program)
        try:
            writer.write(asked)
            await writer.drain()
            whole = await reader.read()
        finally:
            writer.close()
    head = whole.partition(b"\r\n\r\n")[0].decode()
    retry = re.search(r"retry-after: (\d+)", head)
    return int(head.split()[1]), int(retry[1]) if retry else 0


@contextlib.asynccontextmanager
async def busy(
    program: Program, count: int, key: str = "", body: object = LONG
) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """So many requests, one after the other, that run or wait; leaving the context, or a task's cancel, ends them."""
    tasks: list[asyncio.Task[Any]] = []
    try:
        for number in range(count):
            tasks.append(asyncio.create_task(answer(program, post(body, key))))
            await until_inside(program, number + 1, key)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until_inside(program, 0, key)


async def until_inside(program: Program, count: int, key: str = "") -> None:
    """Until so many are inside, of whom as many run as can."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (found := await asyncio.to_thread(queue, program, key))["running"] + found["waiting"] != count:
            await asyncio.sleep(0.01)
