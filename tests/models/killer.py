"""Runs `add`, `copy` or `remove` and kills itself at its n-th write, flush or rename; for test_registry_kill."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files


def main() -> None:
    left = int(sys.argv[1])

    def audited(event: str, _args: tuple[Any, ...]) -> None:
        nonlocal left
        if event in WATCHED:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    act, home, model = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    models = home / "models"
    registry = Registry(Files(models / "model_map.json", models / "tags_cache.json", models / "tags_ollama.json", home))
    counted_fsync(lambda: audited("fsync", ()))
    sys.addaudithook(audited)
    if act == "add":
        registry.add(model, "new")
    elif act == "copy":
        registry.copy("old", "new")
    else:
        registry.remove("old")
    sys.stdout.write("finished\n")


WATCHED = {"open", "os.rename", "os.remove", "fsync", "os.mkdir"}


def counted_fsync(count: Callable[[], None]) -> None:
    """fsync raises no audit event of its own."""
    real = os.fsync

    def fsync(handle: int) -> None:
        count()
        real(handle)

    os.fsync = fsync  # type: ignore[assignment]


if __name__ == "__main__":
    main()
