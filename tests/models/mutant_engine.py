"""Gives damaged GGUF files to llama.cpp, each in a process of its own, and says how each ended.

A program for test_gguf_mutants; its arguments are the files.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path

from hoshikage.engine.llama import library
from hoshikage.engine.llama.batch import Batch
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.context import Context
from hoshikage.engine.llama.model import Model
from hoshikage.engine.llama.placement import Placement
from hoshikage.engine.llama.vocabulary import pieces
from hoshikage.errors import HoshikageError

MEMORY_BYTES = 4 << 30
TIMEOUT_SECONDS = 20
LOADED, RAISED, REFUSED = 0, 1, 3
ENDS = {LOADED: "loaded", RAISED: "raised", REFUSED: "refused"}
CELLS = 64
LAST_WORDS = ("GGML_ASSERT", "what():", "unsupported")


def use(path: Path) -> None:
    """Load the model, read its vocabulary, decode a prompt."""
    model = Model(path, Placement(n_gpu_layers=0))
    pieces(model)
    tokens = model.tokenize("hi <|im_end|>", add_special=True) or [0]
    context = Context(model, Computing(1), cells=CELLS, batch=CELLS, slots=2)
    batch = Batch(CELLS)
    batch.add_many(tokens, 0, 0, outputs=1)
    context.decode(batch)
    context.logits(len(tokens) - 1)


def tried(path: Path) -> str:
    """How a process that uses the file ends: "loaded", "refused", or the signal that killed it and its last words."""
    words = path.with_suffix(".words")
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stderr.fileno())
        os._exit(used(path))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status in ENDS:
        return ENDS[status]
    said = [
        line.rpartition("/")[2].strip()
        for line in words.read_text(errors="replace").splitlines()
        if any(word in line for word in LAST_WORDS)
    ]
    return f"{signal.Signals(-status).name} {' '.join(said[-1:])}".strip()


def used(path: Path) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(TIMEOUT_SECONDS)
    try:
        use(path)
    except HoshikageError:
        return REFUSED
    except BaseException:  # it is no answer, whatever it is
        return RAISED
    return LOADED


def main() -> None:
    os.environ["GGML_NO_BACKTRACE"] = "1"
    library.start()
    sys.stdout.write(json.dumps({path: tried(Path(path)) for path in sys.argv[1:]}))


if __name__ == "__main__":
    main()
