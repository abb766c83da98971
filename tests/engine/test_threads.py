"""Threads by the cores of this process: affinity, hyper-threads and control groups, in made trees of /proc and /sys."""

import math
import os
from pathlib import Path

import pytest

from hoshikage.engine.threads import physical_cores, quota

V2 = "31 23 0:28 {inside} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "32 31 0:29 {inside} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct"
OTHER = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


def tree(root: Path, group: str, mount: str, files: dict[str, str]) -> Path:
    """A root with this line of /proc/self/cgroup, this one of mountinfo, and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"7:memory:/elsewhere\n{group}\n")
    (root / "proc/self/mountinfo").write_text(f"{OTHER}\n{mount}\n")
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000\n", math.inf), ("150000 100000\n", 1.5), ("400000 200000\n", 2.0), ("", math.inf)]
)
def test_a_group_of_version_2_says_its_cores(tmp_path: Path, text: str, cores: float) -> None:
    root = tree(tmp_path, "0::/app/worker", V2.format(inside="/"), {"app/worker/cpu.max": text})
    assert quota(root) == cores


def test_the_tightest_of_the_groups_above_counts(tmp_path: Path) -> None:
    files = {"a/b/c/cpu.max": "800000 100000", "a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}
    assert quota(tree(tmp_path, "0::/a/b/c", V2.format(inside="/"), files)) == 3.0


@pytest.mark.parametrize(("quota_us", "cores"), [("-1", math.inf), ("250000", 2.5)])
def test_a_group_of_version_1_says_its_cores(tmp_path: Path, quota_us: str, cores: float) -> None:
    files = {
        "cpu,cpuacct/docker/x/cpu.cfs_quota_us": f"{quota_us}\n",
        "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
    }
    assert quota(tree(tmp_path, "4:cpu,cpuacct:/docker/x", V1.format(inside="/"), files)) == cores


@pytest.mark.parametrize("group", ["/docker/x", "/../../elsewhere", "/other"])
def test_in_a_container_the_mount_is_the_group(tmp_path: Path, group: str) -> None:
    """Its own group is mounted, and what /proc tells is inside it, or outside of what it can see."""
    files = {"cpu.max": "200000 100000"}
    assert quota(tree(tmp_path, f"0::{group}", V2.format(inside="/docker/x"), files)) == 2.0


def test_without_control_groups_all_cores_are_there(tmp_path: Path) -> None:
    assert quota(tmp_path) == math.inf


def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    for cpu in os.sched_getaffinity(0):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text("0-255\n")
    assert physical_cores(tmp_path) == 1


@pytest.mark.parametrize(("times", "threads"), [("10000 100000", 1), ("190000 100000", 1), ("99900000 100000", 999)])
def test_there_are_as_many_threads_as_whole_cores_and_at_least_one(tmp_path: Path, times: str, threads: int) -> None:
    root = tree(tmp_path, "0::/", V2.format(inside="/"), {"cpu.max": times})
    assert physical_cores(root) == min(threads, len(os.sched_getaffinity(0)))


def test_the_kernels_own_files_are_understood() -> None:
    assert 1 <= physical_cores() <= len(os.sched_getaffinity(0))
