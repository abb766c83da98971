"""File systems in memory: which there are, and the commands that mount and unmount one. Knows no model."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
IN_MEMORY = {"tmpfs", "ramfs"}
PATIENCE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Mounts:
    """What is mounted, as `table` tells it; `uid` and `gid` are those the RAM disk belongs to."""

    table: Path = Path("/proc/self/mounts")
    uid: int = os.getuid()
    gid: int = os.getgid()

    def in_memory(self, path: Path) -> Path | None:
        """The mount point of the file system in memory that `path` lies on, or would; None = it is on a disk."""
        real, best, kind = path.resolve(), Path("/"), ""
        for point, found in self._rows():
            if real.is_relative_to(point) and len(point.parts) >= len(best.parts):
                best, kind = point, found
        return best if kind in IN_MEMORY else None

    def mounting(self, path: Path, size: int) -> list[str]:
        """The command that mounts a tmpfs of `size` bytes, as the manual's line for sudoers allows it."""
        amount = f"{size // GIB}G" if size % GIB == 0 else f"{size >> 20}M"
        options = f"size={amount},mode=0700,uid={self.uid},gid={self.gid}"
        return self._by_root(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)])

    def unmounting(self, path: Path) -> list[str]:
        return self._by_root(["/bin/umount", str(path)])

    def _by_root(self, command: list[str]) -> list[str]:
        return command if self.uid == 0 else ["sudo", "-n", *command]

    def _rows(self) -> list[tuple[Path, str]]:
        """Mount points and kinds, in the order of mounting."""
        try:
            rows = [line.split() for line in self.table.read_text(encoding="utf-8").splitlines()]
        except OSError:
            return []
        return [(Path(_plain(row[1])), row[2]) for row in rows]


def run(command: list[str]) -> str:
    """Run it without a shell and without asking anybody; why it failed, or nothing if it did not."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else " ".join(done.stderr.split()) or f"{command[0]} ended with {done.returncode}"


def _plain(field: str) -> str:
    """The kernel writes blanks, tabs, line ends and backslashes as three octal digits."""
    for code in ("\\040", "\\011", "\\012", "\\134"):
        field = field.replace(code, chr(int(code[1:], 8)))
    return field
