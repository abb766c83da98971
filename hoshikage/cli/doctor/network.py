"""The network: the running server, the ports, the keys."""

import errno
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from hoshikage.cli.asking import asked
from hoshikage.cli.doctor.findings import Finding, better, fault, well
from hoshikage.cli.running import Server
from hoshikage.cli.version import Status
from hoshikage.errors import HoshikageError
from hoshikage.keys import keys_of
from hoshikage.parsing import is_loopback
from hoshikage.settings import Settings

LISTENS = "0A"
"""The state in /proc/net/tcp."""
ANSWER_SECONDS = 5.0
FREE_PORT = "hoshikage serve --port 11500"
MAKE_KEY = "hoshikage key add NAME --scopes admin"


def server(running: Server | None, language: str) -> Iterator[Finding]:
    if running is None:
        yield well("server_none")
        return
    yield well("server", pid=running.pid, addresses=", ".join(running.addresses))
    installed = version("hoshikage")
    try:
        answering = asked(running.addresses[0], "/v1/status", Status, timeout_seconds=ANSWER_SECONDS).version
    except HoshikageError as error:
        yield better("server_closed", "HOSHIKAGE_API_KEY=… hoshikage doctor", reason=error.text(language))
        return
    if answering != installed:
        yield better("server_older", f"kill {running.pid}", running=answering, installed=installed)


def ports(settings: Settings, running: Server | None) -> Iterator[Finding]:
    """The server needs one of its two; where both are taken it does not start."""
    wanted = dict.fromkeys(each for each in (settings.port, settings.legacy_port) if each)
    found = [port(settings.host, each, running) for each in wanted]
    usable = any(finding.mark == "✅" for finding in found)
    for finding in found:
        yield finding if usable or not finding.help else fault(finding.key, finding.help, **finding.data)


def port(host: str, number: int, running: Server | None) -> Finding:
    address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, number))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return better("port_unusable", FREE_PORT, address=address, reason=error.strerror or error)
        if running and any(each.endswith(f":{number}") for each in running.addresses):
            return well("port_ours", address=address)
        return better("port_busy", FREE_PORT, address=address, who=listener(number))
    return well("port_free", address=address)


def listener(number: int) -> str:
    """Who listens on a port of this machine, as far as this user may know."""
    links = {f"socket:[{inode}]" for inode in inodes(number)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(each.readlink()) in links for each in (folder / "fd").iterdir()):
                return f"{(folder / 'comm').read_text().strip()} ({folder.name})"
        except OSError:  # it has ended, or is another user's
            continue
    return "another process"


def inodes(number: int) -> Iterator[str]:
    """Of the sockets that listen there."""
    for table in ("tcp", "tcp6"):
        try:
            rows = [line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:]]
        except OSError:
            continue
        yield from (row[9] for row in rows if row[3] == LISTENS and int(row[1].rpartition(":")[2], 16) == number)


def keys(settings: Settings) -> Iterator[Finding]:
    try:
        ring = keys_of(settings).ring()
    except (HoshikageError, OSError) as error:
        said = error.text(settings.language) if isinstance(error, HoshikageError) else str(error)
        yield fault("keys_broken", f"mv {settings.home}/keys.json {settings.home}/keys.json.broken", reason=said)
        return
    if ring.keys:
        yield well("keys", count=len(ring.keys))
    elif ring.required:
        yield better("keys_none_left", MAKE_KEY)
    elif is_loopback(settings.host):
        yield well("keys_unneeded", host=settings.host)
    else:
        yield fault("keys_missing", MAKE_KEY, host=settings.host)
