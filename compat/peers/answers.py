"""One whole answer of ours with its counts, and what the server says of itself. Knows Ollama's dialect, no measure."""

import time
from dataclasses import dataclass
from typing import Literal

import httpx
import msgspec

from compat.peers.sides import MODEL, PATIENCE_SECONDS, Ours, until

NS = 1e9


class Cache(msgspec.Struct):
    """The `cache` of the final chunk's `hoshikage`; counts in tokens."""

    cached: int
    evaluated: int
    reason: str


class Extras(msgspec.Struct):
    cache: Cache


class Final(msgspec.Struct):
    """An unstreamed answer of /api/generate; times in nanoseconds."""

    response: str
    load_duration: int
    prompt_eval_count: int
    hoshikage: Extras


class Ramdisk(msgspec.Struct):
    """Of /v1/status; sizes in bytes."""

    state: Literal["off", "fallback", "mounted"]
    folder: str | None
    copies: int
    staging: bool
    refusal: str


class Worker(msgspec.Struct):
    name: str
    pid: int


class Status(msgspec.Struct):
    models: list[Worker]
    ramdisk: Ramdisk


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds` is the whole time, `load_seconds` that until there was an engine, as the server says."""

    seconds: float
    load_seconds: float
    text: str
    prompt_tokens: int
    cache: Cache

    @property
    def share(self) -> float:
        """Of the prompt tokens that were evaluated."""
        return self.cache.evaluated / self.prompt_tokens


def answer(side: Ours, prompt: str, tokens: int = 1, *, model: str = MODEL, keep_alive: float | None = None) -> Answer:
    """Ask for so many tokens. Raises httpx.HTTPError."""
    options = {"num_predict": tokens, "temperature": 0.0}
    body: dict[str, object] = {"model": model, "prompt": prompt, "raw": True, "stream": False, "options": options}
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    started = time.perf_counter()
    reply = httpx.post(f"{url(side)}/api/generate", json=body, timeout=PATIENCE_SECONDS)
    spent = time.perf_counter() - started
    final = msgspec.json.decode(reply.raise_for_status().content, type=Final)
    return Answer(spent, final.load_duration / NS, final.response, final.prompt_eval_count, final.hoshikage.cache)


def status(side: Ours) -> Status:
    return msgspec.json.decode(httpx.get(f"{url(side)}/v1/status").raise_for_status().content, type=Status)


def url(side: Ours) -> str:
    return f"http://127.0.0.1:{side.port}"


async def staged(side: Ours) -> None:
    """Have the loaded model's copy on the RAM disk, and the model unloaded. Raises AssertionError if there is none."""
    await side.wake()
    await until(lambda: not status(side).ramdisk.staging)
    found = status(side).ramdisk
    assert found.copies, f"there is no copy: {found.refusal or found.state}"
    await side.unload()
