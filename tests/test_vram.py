"""The memory of GPUs as NVML tells it: which count, and what becomes of a driver that does not answer."""

from collections.abc import Sequence
from types import ModuleType, SimpleNamespace

import pytest

from hoshikage.vram import HIDING, Vram, read, vram


class Nvml(ModuleType):
    """A driver with GPUs of so many free bytes, each of 100."""

    class NVMLError(Exception):
        pass

    def __init__(self, free: Sequence[int], *, broken: bool = False) -> None:
        super().__init__("pynvml")
        self.free, self.broken = free, broken

    def nvmlDeviceGetCount(self) -> int:
        return len(self.free)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if self.broken:
            raise self.NVMLError("lost")
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(free=self.free[handle], total=100)


@pytest.mark.parametrize(
    ("hiding", "expected"),
    [(None, Vram(60, 300)), ("1", Vram(20, 100)), ("0,2", Vram(40, 200)), ("", Vram()), ("GPU-7f", Vram(60, 300))],
)
def test_the_gpus_that_cuda_may_use_count(monkeypatch: pytest.MonkeyPatch, hiding: str | None, expected: Vram) -> None:
    monkeypatch.delenv(HIDING, raising=False)
    if hiding is not None:
        monkeypatch.setenv(HIDING, hiding)
    assert read(Nvml([10, 20, 30])) == expected


def test_a_driver_that_does_not_answer_has_no_memory() -> None:
    assert read(Nvml([10], broken=True)) == Vram()


def test_what_is_told_here_is_possible() -> None:
    found = vram()
    assert 0 <= found.free <= found.total
