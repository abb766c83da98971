"""A load of a made model of 2.35 GB and a tiny vocabulary from the RAM disk against one from a disk of 200 MB/s.

The disk is simulated: it is this machine's, which the kernel holds back for the servers (slow_disk.py). Target ≤ 0.5 x,
the promise of the manual.
"""

import sys
import tempfile
from pathlib import Path

from compat.peers import slow_disk
from compat.peers.findings import Chosen, Finding, Findings, main
from compat.peers.loading import MB, Loaders, compared, described, rounds, running
from fixtures.large_gguf import make_large
from tests.conftest import cache_folder

BYTES_A_SECOND = 200 * 10**6
BOUND = 0.5
PAIRS = 10
SETTINGS = {"N_CTX": "512", "KV_CACHE_GB": "0", "KV_DISK_GB": "0"}
"""A small cache: the load is to be the weights'."""
WHERE = f", simulated with {BYTES_A_SECOND / MB:.0f} MB/s"


async def throttled(chosen: Chosen) -> Findings:
    if why := slow_disk.obstacle():
        row = Finding(
            f"load from the RAM disk against the cold disk{WHERE}", "made", f"≤ {BOUND} x", why, reached=False
        )
        return Findings([row])
    with tempfile.TemporaryDirectory(dir=cache_folder()) as made_in:
        folder = Path(made_in)
        path = make_large(folder / "large.gguf")
        with slow_disk.slow_disk(path, BYTES_A_SECOND) as within:
            sides = Loaders.made(folder, path, within, **SETTINGS)
            async with running(sides):
                found = await rounds(sides, chosen.pairs, warm=False)
        return Findings(compared(found, "made", BOUND, WHERE), [f"made: {described(found, path)} without the limit"])


if __name__ == "__main__":
    sys.exit(main(throttled, pairs=PAIRS))
