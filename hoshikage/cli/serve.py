"""`hoshikage serve`: one app behind every address, until it is told to stop."""

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import sys
from importlib.metadata import version

from hoshikage.cli.running import Server, announced
from hoshikage.cli.stopping import LAST_WORDS_SECONDS, Stop
from hoshikage.cli.text import say, warn
from hoshikage.engine.build import gpu_present, installed_build
from hoshikage.keys import keys_of
from hoshikage.parsing import is_loopback
from hoshikage.settings import Settings

HELP = "serve the registered models"
BACKLOG = 1024
KEEP_ALIVE_SECONDS = 20
"""How long a connection may be idle. Clients keep theirs for 5 s (httpx) to 15 s (aiohttp, in Open WebUI), and whoever
asks has to be the first to close: a request that meets a closing connection fails."""
SWITCH_SECONDS = 0.0005
"""How long a thread that reads a large body, say, may hold the interpreter while the event loop waits for it: a request
waits several times."""
UNREAD_MESSAGES = 2
"""Of a client, 64 KiB each, that wait for the app: enough for an end of the body and a client that has left."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 11434; 0 = any free one)")
    parser.add_argument("--insecure", action="store_true", help="let other machines ask without an API key")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    logging.basicConfig(level=logging.DEBUG if settings.debug else logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    if not guarded(settings, insecure=args.insecure):
        return 1
    raise_files()
    sys.setswitchinterval(SWITCH_SECONDS)
    sockets = listen(settings)
    if not sockets:
        warn(settings.language, "no_address")
        return 1
    addresses = tuple(url(each) for each in sockets)
    with announced(Server(os.getpid(), str(settings.home), addresses), os.environ):
        greet(settings, sockets)
        asyncio.run(serve(settings, sockets, insecure=args.insecure))
    say(settings.language, "stopped")
    return 0


def guarded(settings: Settings, *, insecure: bool) -> bool:
    """Whether the server may listen there; says what is wrong with its keys. Raises KeysCorrupt."""
    ring = keys_of(settings).ring()
    loopback = is_loopback(settings.host)
    if ring.keys or (loopback and not ring.required):
        return True
    said = "key_none_left" if ring.required else "insecure" if insecure else "no_key"
    warn(settings.language, said, host=settings.host)
    return loopback or insecure


def listen(settings: Settings) -> list[socket.socket]:
    """The bound sockets; an address that cannot be had is named, and the others serve."""
    ports = [settings.port] if settings.legacy_port is None else [settings.port, settings.legacy_port]
    found = []
    for port in ports[:1] if len(set(ports)) == 1 and ports[0] else ports:
        try:
            found.append(bound(settings.host, port))
        except OSError as error:
            warn(settings.language, "busy", address=f"{settings.host}:{port}", reason=error.strerror)
    return found


def bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def greet(settings: Settings, sockets: list[socket.socket]) -> None:
    for each in sockets:
        say(settings.language, "serving", version=version("hoshikage"), address=url(each))
    say(settings.language, "home", home=settings.home, map=settings.model_map_file)
    if settings.ineffective:
        say(settings.language, "ineffective", names=", ".join(settings.ineffective))
    gpu, build = gpu_present(), installed_build()
    if gpu and build and build.backend == "cpu":
        warn(settings.language, "gpu_unused", gpu=gpu)


async def serve(settings: Settings, sockets: list[socket.socket], *, insecure: bool) -> None:
    from hypercorn.asyncio import serve as run_app
    from hypercorn.config import Config

    from hoshikage.api.app import create_app
    from hoshikage.services import open_services

    config = Config()
    config.bind = [f"fd://{each.fileno()}" for each in sockets]
    config.include_server_header = False
    config.graceful_timeout = settings.stop_timeout_seconds + LAST_WORDS_SECONDS
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.loglevel = "WARNING"
    config.max_app_queue_size = UNREAD_MESSAGES
    async with open_services(settings) as services:
        app, stop = create_app(services, insecure=insecure), Stop(services)
        await stop.serve(run_app(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]


def raise_files() -> None:
    """As many open files as the system allows: each client is one, and the usual 1,024 are soon used up."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
