"""What models' files were like when they were last looked at. Knows no model."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

LOOK_SECONDS = 0.5
"""How often the files of all models are looked at for a list of them: each look lets the other threads run, and with
hundreds of files a list would wait for them hundreds of times."""

Look = os.stat_result | None


def look(path: Path) -> Look:
    try:
        return os.stat(path)  # noqa: PTH116 - pathlib takes twice as long
    except (OSError, ValueError):
        return None


def signature(found: Look) -> tuple[int, int, int] | None:
    """What differs between two versions of a file; None for one that is gone."""
    return found and (found.st_ino, found.st_size, found.st_mtime_ns)


class Looks:
    """The last look at each file."""

    def __init__(self) -> None:
        self._last: dict[Path, Look] = {}
        self._all_at = float("-inf")

    def at(self, file: Path) -> Look:
        """The last look at it, or the first."""
        if file not in self._last:
            self._last[file] = look(file)
        return self._last[file]

    def changed(self, file: Path) -> bool:
        """Look again: whether it is another than at the last look."""
        before = self.at(file)
        self._last[file] = now = look(file)
        return signature(now) != signature(before)

    def any_changed(self, files: Iterable[Path]) -> bool:
        """Look at all of them again, at most every LOOK_SECONDS."""
        if time.monotonic() - self._all_at < LOOK_SECONDS:
            return False
        self._all_at = time.monotonic()
        changed = [self.changed(file) for file in files]  # all of them, whatever the first is like
        return any(changed)

    def forget_others(self, files: Iterable[Path]) -> None:
        """Keep the looks at these only."""
        self._last = {file: self._last[file] for file in files if file in self._last}
