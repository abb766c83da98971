"""A machine of the test's own."""

from pathlib import Path

import pytest

from tests.ramdisk.machines import Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)
