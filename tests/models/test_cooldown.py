"""Which loads are refused for a while: the counting by table, the wrapper with real workers."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.engine.client import Engine
from hoshikage.engine.wire import Load
from hoshikage.errors import CoolingDown, LoadCrashed, LoadFailed
from hoshikage.models.cooldown import Cooldown, files_of, state_of
from tests.models.test_pool import load

FILES = (Path("/m/a.gguf"),)
OLD, NEW = ((10, 1),), ((10, 2),)


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def left(cooldown: Cooldown, state: tuple[tuple[int, int], ...] = OLD) -> int:
    """Seconds until it is tried again."""
    try:
        cooldown.check(FILES, state)
    except CoolingDown as error:
        assert "signal 9" in str(error)
        seconds = error.data["retry_after"]
        assert isinstance(seconds, int)
        return seconds
    return 0


@pytest.mark.parametrize(
    ("crashes_at", "seconds"),
    [
        ([0], 0),
        ([0, 1], 0),
        ([0, 1, 2], 60),
        ([0, 30, 60], 60),
        ([0, 30, 61], 0),
        ([0, 50, 61, 62], 60),
        ([0, 1, 2, 70], 120),
        ([0, 1, 2, 70, 200], 240),
        ([0, 1, 2, *range(1000, 9000, 1000)], 960),
    ],
)
def test_three_crashes_in_a_minute_make_a_pause_and_each_one_after_it_doubles_it(
    crashes_at: list[float], seconds: int
) -> None:
    clock = Clock()
    cooldown = Cooldown(clock)
    for at in crashes_at:
        clock.seconds = 1000.0 + at
        cooldown.crashed(FILES, OLD, "signal 9")
    assert left(cooldown) == seconds
    assert [pause.seconds for pause in cooldown.pauses()] == ([seconds] if seconds else [])
    clock.seconds += seconds
    assert (left(cooldown), cooldown.pauses()) == (0, [])


@pytest.mark.parametrize("cleared", ["success", "file"])
def test_a_success_or_another_file_ends_it(cleared: str) -> None:
    cooldown = Cooldown(Clock())
    for _ in range(3):
        cooldown.crashed(FILES, OLD, "signal 9")
    if cleared == "success":
        cooldown.loaded(FILES)
    assert left(cooldown, NEW if cleared == "file" else OLD) == 0
    cooldown.crashed(FILES, NEW, "signal 9")
    assert left(cooldown, NEW) == 0


async def killed(load: Load) -> Engine:
    """A worker that is killed while it loads."""
    raise LoadCrashed(reason=f"signal 9 at {load.path}")


async def test_a_model_in_its_pause_starts_no_process(tmp_path: Path) -> None:
    asked, cooldown = load(make_tiny(tmp_path / "tiny.gguf")), Cooldown(Clock())
    for _ in range(3):
        with pytest.raises(LoadCrashed):
            await cooldown.guarding(killed)(asked)
    with pytest.raises(CoolingDown, match=r"signal 9 at .*tiny\.gguf; it is tried again in 60 seconds"):
        await cooldown.guarding(Engine.start)(asked)
    os.utime(asked.path, ns=(1, 1))
    engine = await cooldown.guarding(Engine.start)(asked, timeout_seconds=60)
    await engine.close()


@pytest.mark.parametrize("refusal", ["file", "timeout"])
async def test_what_is_no_crash_is_not_counted(tmp_path: Path, refusal: str) -> None:
    path = make_tiny(tmp_path / "tiny.gguf")
    if refusal == "file":
        path.write_bytes(b"GGUF" + os.urandom(2000))
    asked, cooldown = load(path), Cooldown(Clock())
    for _ in range(4):
        with pytest.raises(LoadFailed) as caught:
            await cooldown.guarding(Engine.start)(asked, timeout_seconds=60 if refusal == "file" else 0.001)
        assert not isinstance(caught.value, LoadCrashed | CoolingDown)
    cooldown.check(files_of(asked), state_of(files_of(asked)))
