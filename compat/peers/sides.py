"""The servers that are compared, as programs on free loopback ports. Knows how each starts, sleeps and stops.

Ours is `hoshikage serve` in a home of its own; the peer is llama-server with flags. How both are asked is in stream.py.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import psutil

from compat.peers import llama_server
from compat.peers.startup import free_ports
from compat.peers.stream import LLAMA_SERVER, Ask, Dialect, NotServed, Reply, Stream, ollama
from tests.program import environment, hoshikage

MODEL = "bench"
RETRY_SECONDS = 0.002
PATIENCE_SECONDS = 60.0
STOP_SECONDS = 30.0
SLEEP_SECONDS = 2


class Side(ABC):
    """One server. `folder` holds its log and, for ours, its home."""

    name = ""
    dialect: Dialect

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What starts the program."""

    def environ(self) -> dict[str, str] | None:
        return None

    def spawn(self) -> float:
        """Run the program; returns when that was, on time.perf_counter()."""
        self.folder.mkdir(parents=True, exist_ok=True)
        [self.port] = free_ports(1)
        command, environ = self.command(), self.environ()
        with (self.folder / "serve.log").open("ab") as log:
            started = time.perf_counter()
            self._process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        return started

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    def stop(self) -> None:
        """SIGTERM, and wait: what a server saves when it stops is saved then. One that hangs in a prefill is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    async def start(self) -> None:
        self.spawn()
        await self.ask_when_up(WAKE)

    async def ask(self, ask: Ask) -> Reply:
        return await Stream(self.dialect, ask).run(self.port)

    async def ask_when_up(self, ask: Ask) -> Reply:
        """Ask again and again until somebody answers.

        Raises TimeoutError after PATIENCE_SECONDS, NotServed if the program has ended.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(OSError, NotServed):
                    return await self.ask(ask)
                if self._process is None or self._process.poll() is not None:
                    raise NotServed(
                        f"{self.name} ended: {(self.folder / 'serve.log').read_text(errors='replace')[-2000:]}"
                    )
                await asyncio.sleep(RETRY_SECONDS)

    async def wake(self) -> None:
        """Have the model loaded."""
        await self.ask(WAKE)

    @abstractmethod
    async def unload(self) -> None:
        """Have the model unloaded; returns when it is."""

    def get(self, path: str) -> dict[str, object]:
        found = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_SECONDS).raise_for_status().json()
        assert isinstance(found, dict)
        return found


WAKE = Ask("Good morning", 1)


class Ours(Side):
    """`hoshikage serve`; settings of its own by environment variables, `within` what its command begins with."""

    within: Sequence[str] = ()

    def __init__(self, folder: Path, model: Path, **settings: str) -> None:
        super().__init__(folder)
        self.settings = settings
        self.name = " ".join(["hoshikage", *(f"{name}={value}" for name, value in settings.items())])
        self.dialect = ollama(MODEL)
        folder.mkdir(parents=True)
        added = hoshikage(folder, "add", str(model), MODEL)
        assert added.returncode == 0, added.stderr

    def command(self) -> list[str]:
        return [*self.within, sys.executable, "-m", "hoshikage", "serve", "--port", str(self.port)]

    def environ(self) -> dict[str, str]:
        return environment(self.folder, **self.settings)

    async def unload(self) -> None:
        """By keep_alive 0; returns when the engine's process has ended."""
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            body = {"model": MODEL, "keep_alive": 0}
            (await client.post(f"http://127.0.0.1:{self.port}/api/generate", json=body)).raise_for_status()
        await until(lambda: not psutil.Process(self.pid).children())

    def context(self) -> int:
        """The window in tokens of the loaded model."""
        models = self.get("/api/ps")["models"]
        assert isinstance(models, list)
        return int(models[0]["context_length"])


class Peer(Side):
    """llama-server with these flags."""

    dialect = LLAMA_SERVER

    def __init__(self, folder: Path, model: Path, *flags: str) -> None:
        super().__init__(folder)
        self._command = [str(llama_server.binary()), "-m", str(model), *flags]
        self.name = " ".join(["llama-server", *flags])

    def command(self) -> list[str]:
        return [*self._command, "--host", "127.0.0.1", "--port", str(self.port)]

    async def unload(self) -> None:
        """Wait until it sleeps, as --sleep-idle-seconds makes it."""
        await until(lambda: self.get("/props")["is_sleeping"] is True)


async def until(reached: Callable[[], bool]) -> None:
    """Raises TimeoutError after PATIENCE_SECONDS."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reached():  # noqa: ASYNC110  another process's state can only be asked for
            await asyncio.sleep(0.05)
