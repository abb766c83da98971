"""llama.cpp in the test's own process behaves as in the workers."""

import os

from hoshikage.engine.client import SPIN_COUNT

os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
