"""Where a path leads when all its links are followed. Opens no file."""

from pathlib import Path


def inside(path: Path, folder: Path) -> bool:
    """Whether a path, all its links followed, stays below the folder."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return False
