"""How much memory there is: the machine's, and what a control group leaves of it."""

from pathlib import Path

import pytest

from hoshikage.ramdisk.memory import KEPT_SHARE, Memory
from tests.ramdisk.machines import MB, Made

V2 = ("0::/a/b\n", "", "memory.max", "memory.current", "inactive_file")
V1 = ("4:cpu,memory:/a/b\n", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def group(folder: Path, names: tuple[str, ...], most: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[2]).write_text(f"{most}\n")
    (folder / names[3]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[4]} {cached}\n")


def test_without_control_groups_it_is_the_machines(made: Made) -> None:
    memory = made.machine.memory
    assert (memory.total(), memory.available()) == (made.total // 1024 * 1024, made.available // 1024 * 1024)
    assert memory.spare() == memory.available() - memory.total() // KEPT_SHARE


@pytest.mark.parametrize("names", [V2, V1])
def test_the_tightest_of_the_groups_around_the_process_counts(made: Made, names: tuple[str, ...]) -> None:
    (made.root / "proc/self").mkdir()
    (made.root / "proc/self/cgroup").write_text(names[0])
    root = made.root / "groups" / names[1]
    group(root / "a/b", names, "max" if names is V2 else str(2**63 - 4096), 400 * MB, 0)
    group(root / "a", names, str(1000 * MB), 700 * MB, 200 * MB)
    memory = Memory(made.root / "proc", made.root / "groups")
    assert (memory.total(), memory.available()) == (1000 * MB, 500 * MB)


def test_where_there_is_no_proc_the_system_is_asked_otherwise(tmp_path: Path) -> None:
    memory = Memory(tmp_path, tmp_path)
    assert 0 < memory.available() <= memory.total() == Memory().total()


def test_here_it_is_what_the_kernel_says() -> None:
    assert 0 < Memory().available() <= Memory().total()
