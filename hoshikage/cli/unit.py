"""`hoshikage unit`: prints a systemd unit for this installation and home. Installs nothing.

Which hardening: what needs no file system of its own and leaves sudo its rights. sudo mounts the RAM disk, so
NoNewPrivileges must be off, and with it all that implies it for a user's service (SystemCallFilter, Restrict…,
ProtectKernel…, PrivateDevices). A file system of its own (ProtectSystem, PrivateTmp) would hide that mount from others.
Without a RAM disk, nothing of this holds.
"""

import argparse
import getpass
import math
import sys
from pathlib import Path

from hoshikage.cli.stopping import LAST_WORDS_SECONDS
from hoshikage.engine.client import SAVE_SECONDS
from hoshikage.settings import Settings

HELP = "print a systemd unit for this server"
MOVE_SECONDS = 30
"""For the move of the snapshots from the RAM disk to the home."""
UNIT = """\
[Unit]
Description=hoshikage, a drop-in Ollama server
{network}
[Service]
Type=notify
{user}ExecStart={program} serve --home {home}
WorkingDirectory=-{folder}
Environment=HOSHIKAGE_LANG={language} PYTHONUNBUFFERED=1
# SIGTERM goes to the server alone, which saves the conversations and ends its workers.
KillMode=mixed
# STOP_TIMEOUT, the last words to clients, saving and moving the conversations.
TimeoutStopSec={stop}
Restart=on-failure
RestartSec=2
LimitNOFILE=65536
LimitMEMLOCK=infinity
# A dump of the memory would hold what was said.
LimitCORE=0
UMask=0077
{hardening}
[Install]
WantedBy={target}
"""
NETWORK = "Wants=network-online.target\nAfter=network-online.target\n"
WITH_SUDO = """\
# The RAM disk is mounted by sudo: NoNewPrivileges and what implies it would forbid that, and a file system of the
# service's own (ProtectSystem, PrivateTmp) would hide the mount. With RAMDISK_PATH=off, `hoshikage unit` prints more.
"""
OWN_FILE_SYSTEM = """\
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
"""
"""Only the system's manager can do this everywhere."""
HARDENED = """\
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", action="store_true", help="a unit for `systemctl --user` instead of the system's")


def execute(args: argparse.Namespace, settings: Settings) -> int:
    print(unit(settings, getpass.getuser(), for_user=args.user), end="")
    return 0


def unit(settings: Settings, user: str, *, for_user: bool) -> str:
    """The text of the unit; `user` runs the system's."""
    has_disk = settings.ramdisk_path is not None and settings.ramdisk_size_gb > 0
    return UNIT.format(
        network="" if for_user else NETWORK,
        user="" if for_user else f"User={user}\n",
        program=program(),
        home=quoted(settings.home.absolute()),
        folder=str(settings.home.absolute()).replace("%", "%%"),
        language=settings.language,
        stop=stop_seconds(settings),
        hardening=WITH_SUDO if has_disk else HARDENED if for_user else HARDENED + OWN_FILE_SYSTEM,
        target="default.target" if for_user else "multi-user.target",
    )


def stop_seconds(settings: Settings) -> int:
    """More than a server takes at most from the signal to its end."""
    return math.ceil(settings.stop_timeout_seconds + 2 * LAST_WORDS_SECONDS + SAVE_SECONDS + MOVE_SECONDS)


def program() -> str:
    """The command of this environment, by absolute paths."""
    script = Path(sys.executable).with_name("hoshikage")
    return quoted(script) if script.exists() else f"{quoted(Path(sys.executable))} -m hoshikage"


def quoted(path: Path) -> str:
    """As one word of a command line of systemd's, which replaces `%` and `$`."""
    plain = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + plain.replace("%", "%%").replace("$", "$$") + '"'
