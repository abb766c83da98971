"""What CPU_REPACK costs in memory and gives in speed: the starter as Q4_0, mapped from the RAM disk, on and off.

Memory is Pss_Anon of /proc/PID/smaps_rollup. What is not the weights' is taken off by processes of its own kind: one
that has only started llama.cpp, one that has read the vocabulary too, and one that has a context of the same size too.
"""

import argparse
import asyncio
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from compat.peers.texts import PASSAGE
from hoshikage.engine import wire
from hoshikage.engine.client import SPIN_COUNT, Engine
from hoshikage.engine.quantize import quantize
from hoshikage.models.gguf import read_header
from hoshikage.models.repack import repackable
from hoshikage.sampling import SamplingOptions
from tests.conftest import pulled

ROUNDS, CELLS, BATCH, NEW_TOKENS = 7, 2048, 512, 48
SHM = Path("/dev/shm")  # noqa: S108  a RAM disk of this measure's own
STAGES = ("python", "vocabulary", "weights", "context")
MB = 1e6


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=ROUNDS)
    parser.add_argument("--stage", choices=STAGES, help="for itself: print this process's memory at a stage")
    parser.add_argument("--repack", choices=("on", "off"), default="off")
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    if given.stage:
        print(stage(given.stage, given.model, repack=given.repack == "on"))
        return 0
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        model = as_q4_0(pulled("starter"), Path(folder))
        table(model)
        asyncio.run(speeds(model, given.pairs))
    return 0


def table(model: Path) -> None:
    size, foretold = model.stat().st_size, repackable(read_header(model).tensors)
    print(
        f"{model.name}: {size / MB:.1f} MB mapped from {model.parent.parent}, {foretold / MB:.1f} MB can be repacked\n"
    )
    print("| MB of Pss_Anon | off | on |\n|---|---|---|")
    found = {mode: {name: measured(name, model, mode) for name in STAGES} for mode in ("off", "on")}
    rows = {
        "Python and llama.cpp, nothing loaded": [each["python"] for each in found.values()],
        "vocabulary": [each["vocabulary"] - each["python"] for each in found.values()],
        "weights": [each["weights"] - each["vocabulary"] for each in found.values()],
        f"KV cache of {CELLS} tokens and compute buffers": [
            each["context"] - each["weights"] for each in found.values()
        ],
    }
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value / MB:.1f}' for value in values)} |")
    share = rows["weights"][0] / size
    print(f"\nweights in anonymous memory with CPU_REPACK=off: {share:.1%} of the file (target 5 %)\n")


def as_q4_0(source: Path, folder: Path) -> Path:
    """The starter, which is Q4_1, as Q4_0 by way of F16."""
    from hoshikage.engine.llama.binding import C

    half, target = folder / "starter-F16.gguf", folder / "starter-Q4_0.gguf"
    C.llama_log_set(_quiet, ctypes.c_void_p(0))
    params = C.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = C.LLAMA_FTYPE_MOSTLY_F16, True
    assert not C.llama_model_quantize(os.fsencode(source), os.fsencode(half), ctypes.byref(params))
    for _ in quantize(half, target, "Q4_0"):
        pass
    half.unlink()
    return target


_quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


def measured(name: str, model: Path, mode: str) -> int:
    """Bytes of Pss_Anon at a stage, in a new process that goes just so far."""
    command = [sys.executable, "-m", "compat.peers.repack", "--stage", name, "--model", str(model), "--repack", mode]
    environ = {**os.environ, "GOMP_SPINCOUNT": SPIN_COUNT}
    return int(subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout)


def stage(name: str, path: Path, *, repack: bool) -> int:
    """Bytes of this process, once it has gone so far as a worker; a context has decoded a whole batch and a step."""
    import hoshikage.engine.worker  # noqa: F401  what a worker imports
    from hoshikage.engine.llama import library
    from hoshikage.engine.llama.batch import Batch
    from hoshikage.engine.llama.computing import Computing
    from hoshikage.engine.llama.context import Context
    from hoshikage.engine.llama.model import Model
    from hoshikage.engine.llama.placement import Placement

    library.start()
    if name == "python":
        return anonymous(os.getpid())
    model = Model(path, Placement(n_gpu_layers=0, repack=repack, weights=name != "vocabulary"))
    if name == "context":
        context, batch = Context(model, Computing(1), cells=CELLS, batch=BATCH, slots=8), Batch(BATCH)
        for start, count in ((0, BATCH), (BATCH, 1)):
            batch.clear()
            batch.add_many([start + 1] * count, start, 0, outputs=1)
            assert context.decode(batch)
    return anonymous(os.getpid())


def anonymous(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))


async def speeds(model: Path, pairs: int) -> None:
    """Both workers stand side by side, and are asked in turn, off first in even rounds and last in odd ones."""
    engines = {name: await Engine.start(load(model, repack=name == "on")) for name in ("off", "on")}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    try:
        for number in range(-1, pairs):  # the first round warms up
            order = list(engines.items())
            for name, engine in order if number % 2 == 0 else reversed(order):
                found[name].append(await asked(engine, number))
        memory = {name: anonymous(engine.pid) / MB for name, engine in engines.items()}
    finally:
        for engine in engines.values():
            await engine.close()
    print("| tokens a second | off | on | on / off (median of pairs) | spread |\n|---|---|---|---|---|")
    for index, measure in enumerate(("prompt", "answer")):
        print(row(measure, *([each[index] for each in found[name][1:]] for name in ("off", "on"))))
    print(
        f"\n{pairs} interleaved pairs; Pss_Anon of the whole workers: off {memory['off']:.1f}, on {memory['on']:.1f} MB"
    )


def row(measure: str, off: Sequence[float], on: Sequence[float]) -> str:
    ratios = [b / a for a, b in zip(off, on, strict=True)]
    middle = statistics.median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"| {measure} | {statistics.median(off):.1f} | {statistics.median(on):.1f} | {middle:.2f} | {spread} |"


def load(path: Path, *, repack: bool) -> wire.Load:
    return wire.Load(
        path=str(path),
        n_ctx=CELLS,
        n_batch=BATCH,
        n_threads=0,
        n_gpu_layers=0,
        num_parallel=1,
        speculation=False,
        repack=repack,
    )


async def asked(engine: Engine, number: int) -> tuple[float, float]:
    """Tokens a second of a prompt that is new, and of the answer to it."""
    sampling = SamplingOptions(temperature=0.0, ignore_eos=True)
    prompt = f"{number}: {PASSAGE}"
    command = wire.Generate(id=0, owner="a", prompt=prompt, sampling=sampling, max_tokens=NEW_TOKENS)
    async with aclosing(engine.generate(command)) as events:
        done = [event async for event in events][-1]
    assert isinstance(done, wire.Done)
    return done.evaluated / done.prompt_ns * 1e9, done.completion_tokens / done.eval_ns * 1e9


if __name__ == "__main__":
    sys.exit(main())
