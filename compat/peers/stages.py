"""Where a worker's first second goes, from the exec of its process to its first tokens; run as a program of its own.

It takes the steps of engine/worker.py one by one, without a socket, and prints their seconds as JSON.
"""

import time

BEGUN = time.monotonic()

import importlib  # noqa: E402  the interpreter is there; what follows is what is measured
import itertools  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

PROMPT = "Good morning"


def main(path: str, started: float) -> None:
    marks = {"exec": started, "interpreter": BEGUN, "this program": time.monotonic()}
    import msgspec

    importlib.import_module("hoshikage.engine.worker")
    marks["imports"] = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as kv:
        marks |= steps(path, kv)
    ends = list(marks.items())
    found = {name: end - before for (_, before), (name, end) in itertools.pairwise(ends)}
    del found["this program"]
    sys.stdout.write(msgspec.json.encode(found).decode())


def steps(path: str, kv: str) -> dict[str, float]:
    """When each step had ended."""
    from hoshikage.engine import startup, wire
    from hoshikage.engine.llama import library
    from hoshikage.engine.loop import Request
    from hoshikage.sampling import SamplingOptions

    places = (wire.Place(folder=kv, budget=1 << 30, ram=True),)
    load = wire.Load(path=path, n_ctx=0, n_batch=512, n_threads=0, n_gpu_layers=-1, num_parallel=8, places=places)
    marks = {}
    library.start()
    marks["library"] = time.monotonic()
    model = startup.opened(load)
    marks["weights and vocabulary"] = time.monotonic()
    desk = startup.desk(model, load)
    marks["context"] = time.monotonic()
    startup.ready(model, desk, load)
    command = wire.Generate(id=1, owner="", prompt=PROMPT, sampling=SamplingOptions(temperature=0.0), max_tokens=2)
    desk.take(Request(command, model.tokenize(PROMPT, add_special=True)))
    marks["tokens"] = time.monotonic()
    desk.step()
    marks["prefill and first token"] = time.monotonic()
    desk.step()
    marks["second token"] = time.monotonic()
    return marks


def stages(path: Path, rounds: int) -> dict[str, float]:
    """The median seconds of each step over so many processes."""
    import msgspec

    from hoshikage.engine.client import SPIN_COUNT

    environ = {"GOMP_SPINCOUNT": SPIN_COUNT, **os.environ}
    found = []
    for _ in range(rounds):
        command = [sys.executable, "-m", __spec__.name, str(path), str(time.monotonic())]
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True)
        found.append(msgspec.json.decode(done.stdout, type=dict[str, float]))
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
