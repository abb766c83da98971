"""How long `hoshikage list` takes with 500 models, from exec to exit. Target: under 0.3 s.

The models are links to one tiny file, so each has a path of its own and none needs room. One is registered, the others
are written into the map as it would be after 500 times.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from fixtures.tiny_gguf import make_tiny
from tests.program import environment, hoshikage

MODELS, ROUNDS = 500, 10
TARGET_SECONDS = 0.3
FORMS = ((), ("--ollama",))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        register(home, make_tiny(home / "tiny.gguf"))
        seconds = {form: [listed(home, form) for _ in range(ROUNDS)] for form in FORMS}
    for form, each in seconds.items():
        command = " ".join(("hoshikage list", *form))
        print(
            f"{command}, {MODELS} models: median {statistics.median(each):.3f} s, worst {max(each):.3f} s"
            f" (target {TARGET_SECONDS} s; load {os.getloadavg()[0]:.1f})"
        )


def register(home: Path, file: Path) -> None:
    """The models, and whatever the first command after them writes."""
    links = [file.with_name(f"model-{number}.gguf") for number in range(MODELS)]
    for link in links:
        link.symlink_to(file)
    added = hoshikage(home, "add", str(links[0]), "model-0")
    assert added.returncode == 0, added.stderr
    map_file = home / "models/model_map.json"
    entry = msgspec.json.decode(map_file.read_bytes(), type=dict[str, dict[str, object]])["model-0"]
    every = {link.stem: {**entry, "path": str(link)} for link in links}
    map_file.write_bytes(msgspec.json.encode(every))
    listed(home, ())


def listed(home: Path, form: tuple[str, ...]) -> float:
    """Seconds of one run, which must print all models."""
    command = [sys.executable, "-m", "hoshikage", "list", *form]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=True)
    taken = time.perf_counter() - started
    assert len(done.stdout.splitlines()) == MODELS + 1
    return taken


if __name__ == "__main__":
    main()
