"""Masks over a row of logits, against the plain loop."""

import subprocess
import sys

PROGRAM = """
import numpy as np
from hoshikage.engine.llama.logits import keep_only

random = np.random.default_rng(1)
for n_vocab in (1, 31, 32, 33, 1000, 49_152):
    for share in (0.0, 0.001, 0.5, 0.999, 1.0):
        allowed = random.random(n_vocab) < share
        packed = np.packbits(np.pad(allowed, (0, -n_vocab % 32)), bitorder="little").view(np.int32)
        logits = random.standard_normal(n_vocab).astype(np.float32)
        wanted = [logit if may else -np.inf for logit, may in zip(logits, allowed)]
        keep_only(logits, packed)
        assert logits.tolist() == wanted, (n_vocab, share)
"""


def test_exactly_the_allowed_tokens_keep_their_logits() -> None:
    """In a process of its own, since the module brings llama.cpp with it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
