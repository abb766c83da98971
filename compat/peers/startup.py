"""How fast the server is there, and what it costs while idle. Targets: /api/tags within 1.0 s, under 80 MB, 0 % CPU.

Each round starts `hoshikage serve` as a program and asks until /api/tags answers.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from hoshikage.models.hubs.package_index import PINNED
from tests.conftest import cache_folder
from tests.program import environment, hoshikage

ROUNDS = 10
SETTLE_SECONDS, IDLE_SECONDS = 1.0, 20.0
HEAVY = ("libllama", "numpy", "chromadb", "torch")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        hoshikage(home, "add", str(cache_folder() / PINNED[0].file), "starter")
        seconds = [first_answer(home, port) for port in free_ports(ROUNDS)]
        megabytes, cpu, heavy = idle(home, next(iter(free_ports(1))))
    print(f"time to /api/tags: median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s (target 1.0 s)")
    print(f"gateway, idle: {megabytes:.1f} MB resident (target 80), {cpu:.2f} % CPU over {IDLE_SECONDS:.0f} s")
    print(f"heavy libraries mapped by the gateway: {', '.join(heavy) or 'none'}")


def free_ports(count: int) -> list[int]:
    import socket

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(home: Path, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "hoshikage", "serve", "--port", str(port)]
    return subprocess.Popen(command, env=environment(home), stdout=subprocess.DEVNULL)


def wait(port: int, started: float) -> float:
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/tags").raise_for_status()
            return time.perf_counter() - started
        except httpx.TransportError:
            time.sleep(0.005)


def first_answer(home: Path, port: int) -> float:
    started = time.perf_counter()
    with start(home, port) as process:
        try:
            return wait(port, started)
        finally:
            process.terminate()


def idle(home: Path, port: int) -> tuple[float, float, list[str]]:
    with start(home, port) as process:
        try:
            wait(port, time.perf_counter())
            gateway = psutil.Process(process.pid)
            time.sleep(SETTLE_SECONDS)
            gateway.cpu_percent()
            time.sleep(IDLE_SECONDS)
            mapped = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
            heavy = [name for name in HEAVY if name in mapped]
            return gateway.memory_info().rss / 1e6, gateway.cpu_percent(), heavy
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
