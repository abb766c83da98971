"""Digests are computed once a version of a file, in little memory, and never trusted after a change."""

import os
import subprocess
import sys
from pathlib import Path

from fixtures.tiny_gguf import make_tiny
from hoshikage.models import digests
from hoshikage.models.digests import Digests, file_digest

LARGE_BYTES = (1 << 30) + (1 << 20)
LIMIT_BYTES = 120 << 20


def opened(path: Path, seen: list[str]) -> None:
    """From now on every opening of `path` in this process is noted."""

    def audited(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]) == str(path):
            seen.append(event)

    sys.addaudithook(audited)


def test_a_file_is_read_once_a_version_by_all_processes_together(tmp_path: Path) -> None:
    file, seen = make_tiny(tmp_path / "tiny.gguf"), list[str]()
    expected = file_digest(file)
    first = Digests(tmp_path / "digests.json").of(file)
    opened(file, seen)
    assert Digests(tmp_path / "digests.json").of(file) == first
    assert (seen, first.exact, first.sha256) == ([], True, expected)


def test_a_file_that_was_changed_in_place_is_read_again(tmp_path: Path) -> None:
    file, known = make_tiny(tmp_path / "tiny.gguf"), Digests(tmp_path / "digests.json")
    before = known.of(file)
    make_tiny(file, seed=1)
    os.utime(file, ns=(1, 1))
    assert known.of(file).sha256 == file_digest(file) != before.sha256


def test_the_name_tells_in_a_store_that_names_files_by_their_content(tmp_path: Path) -> None:
    digest = "ab" * 32
    (tmp_path / f"sha256-{digest}").touch()
    (tmp_path / "link.gguf").symlink_to(tmp_path / f"sha256-{digest}")
    assert Digests(tmp_path / "digests.json").known(tmp_path / "link.gguf") == digest


def test_a_damaged_cache_costs_only_time(tmp_path: Path) -> None:
    file = make_tiny(tmp_path / "tiny.gguf")
    (tmp_path / "digests.json").write_text("{")
    assert Digests(tmp_path / "digests.json").of(file).sha256 == file_digest(file)


def test_progress_is_told_to_the_last_byte(tmp_path: Path) -> None:
    file = tmp_path / "zeros"
    with file.open("wb") as made:
        made.truncate(3 * digests.CHUNK_BYTES + 1)
    told = list(Digests(tmp_path / "digests.json").steps(file))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (3 * digests.CHUNK_BYTES + 1,) * 2


SETTLE = """
import sys
from pathlib import Path
from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files
from tests.program import peak_bytes
home = Path(sys.argv[1])
registry = Registry(Files(home / "m.json", home / "c.json", home / "t.json", home))
entry = registry.add(home / "large.gguf", "large")
before = registry.inexact()
registry.settle(entry)
print(len(before), len(registry.inexact()), peak_bytes())
"""


def test_a_file_over_a_gigabyte_is_added_at_once_and_hashed_later_in_little_memory(tmp_path: Path) -> None:
    file = make_tiny(tmp_path / "large.gguf")
    os.truncate(file, LARGE_BYTES)  # sparse: zeros behind the last tensor
    done = subprocess.run(
        [sys.executable, "-c", SETTLE, str(tmp_path)], capture_output=True, text=True, check=True, timeout=100
    )
    inexact, left, peak = map(int, done.stdout.split())
    assert (inexact, left) == (1, 0)
    assert peak < LIMIT_BYTES
