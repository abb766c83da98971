"""The gateway is killed -9: no worker outlives it, and the next server goes on from what is whole."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.crash.rounds import THOROUGH, Stage
from tests.crash.scene import TALE, Scene, opened
from tests.crash.stages import decode, raw, saving
from tests.crash.stages import load as loading
from tests.crash.victim import gone, thaw, until, workers
from tests.program import ramdisk_of, serve

ACTS = {Stage.LOAD: loading, Stage.DECODE: decode, Stage.SNAPSHOT: saving}
DIES_SECONDS = 5.0


PLACES = [(place, stage) for place in ("disk", "ram") for stage in ACTS]
MOST_APART = [("disk", Stage.DECODE), ("ram", Stage.LOAD), ("ram", Stage.SNAPSHOT)]


@pytest.fixture
def settings(place: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Where snapshots lie: in the home, or on a RAM disk of the test's own."""
    folder = ramdisk_of(tmp_path / "home")
    yield {"RAMDISK_PATH": "off" if place == "disk" else str(folder)}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(("place", "stage"), PLACES if THOROUGH else MOST_APART)
def test_nothing_outlives_the_gateway_and_the_next_one_goes_on(
    starter: Path, tmp_path: Path, settings: dict[str, str], stage: Stage, place: str
) -> None:
    home = tmp_path / "home"
    with opened(home, starter, **settings) as scene:
        places = [home, ramdisk_of(home)]
        scene.unload()
        scene.loaded()
        pid = next(ACTS[stage](scene, Random(1)))
        kill_gateway(scene, pid)
    half = [path for place in places for path in place.glob("**/kv/*/*.partial")]
    for path in half:
        shutil.copy(path, path.with_name("0" * 32 + ".kv"))
    assert bool(half) == (stage is Stage.SNAPSHOT)
    with serve(home, None, within=(), **{"N_CTX": "4096", **settings}) as program:
        body = {"model": "starter", "stream": False, **raw(f"{TALE} And then", 2)}
        cache = httpx.post(f"{program.url}/api/generate", json=body, timeout=60).json()["hoshikage"]["cache"]
        assert cache["evaluated"] < 30, cache
        left = [path.name for place in places for path in place.glob("**/kv/*/*") if path.is_file()]
        assert not [name for name in left if "partial" in name or name.startswith("0" * 32)], left


def kill_gateway(scene: Scene, pid: int) -> None:
    """The frozen worker goes on when its parent is dead, if it has not been told so: it is to end by itself."""
    started = workers(scene.pid)
    assert pid in started
    scene.program.process.kill()
    scene.program.process.wait()
    thaw(pid)
    until(lambda: all(gone(each) for each in started), "a worker is left", DIES_SECONDS)
