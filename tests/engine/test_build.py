"""The build helper: which backend, which key, and what a user hears."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from hoshikage.engine import build
from hoshikage.engine.backend import Choice, choose, fitting

GPU = "NVIDIA H100"


@pytest.mark.parametrize(
    ("system", "gpu", "nvcc", "backend"),
    [
        ("linux", None, None, "cpu"),
        ("linux", None, (13, 0), "cpu"),
        ("linux", GPU, None, "cpu"),
        ("linux", GPU, (11, 7), "cpu"),
        ("linux", GPU, (11, 8), "cuda"),
        ("linux", GPU, (13, 0), "cuda"),
        ("darwin", None, None, "metal"),
    ],
)
def test_the_backend_fits_the_machine(system: str, gpu: str | None, nvcc: tuple[int, int] | None, backend: str) -> None:
    choice = fitting(system, gpu, nvcc)
    assert choice.backend == backend
    assert bool(choice.notes) == (backend == "cpu" and bool(gpu or nvcc))


def test_backend_overrides_and_a_wrong_one_is_named() -> None:
    assert choose("Vulkan").cmake_args == "-DGGML_VULKAN=on"
    with pytest.raises(ValueError, match="BACKEND=opencl cannot be used: auto, cpu, cuda, vulkan, metal"):
        choose("opencl")


def test_the_key_changes_with_every_ingredient() -> None:
    base = ("0.3.36", "-DX=on", "gcc 12", "avx2")
    keys = {build.key_of(*base)} | {build.key_of(*base[:i], "other", *base[i + 1 :]) for i in range(4)}
    assert len(keys) == 5


def test_the_users_cmake_args_come_last() -> None:
    made = build.build_of(Choice("cuda"), {"CMAKE_ARGS": "-DGGML_NATIVE=off"}, "1")
    assert made.cmake_args == "-DGGML_CUDA=on -DGGML_NATIVE=off"
    assert made.key != build.build_of(Choice("cuda"), {}, "1").key


def test_the_version_is_the_projects_pin() -> None:
    assert build.pinned_version(build.PROJECT).count(".") == 2


def test_the_cpus_flags_do_not_depend_on_their_order(tmp_path: Path) -> None:
    for name, flags in (("a", "avx2 sse"), ("b", "sse avx2")):
        (tmp_path / name).write_text(f"processor : 0\nflags\t\t: {flags}\n")
    assert build.processor(tmp_path / "a") == build.processor(tmp_path / "b") == "avx2 sse"


def wheel(folder: Path) -> Path:
    folder.mkdir(parents=True)
    path, info = folder / "llama_cpp_python-0.0.1-py3-none-any.whl", "llama_cpp_python-0.0.1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: 0.0.1\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_a_cached_wheel_is_installed_and_written_down(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    cached = wheel(tmp_path / "wheels")
    program = f"""
import sys; sys.path.insert(0, {str(build.PROJECT.parent)!r})
from pathlib import Path
from hoshikage.engine import build
made = build.Build("key", "0.0.1", "cpu", "")
assert build.installed_build() is None
assert build.install(Path({str(cached)!r}), made) == 0
assert build.installed_build() == made
"""
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "llama_cpp_python 0.0.1" in listed.replace("llama-cpp-python", "llama_cpp_python").replace("  ", " ")


def test_the_cache_is_used_before_the_compiler(tmp_path: Path) -> None:
    made = build.Build("key", "0.0.1", "cpu", "")
    cached = wheel(tmp_path / "key")
    assert build.cached_wheel(made, tmp_path) == cached


def test_a_failed_build_shows_the_log_and_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = build.Build("key", "0.0.0.dev404", "cpu", "")
    assert build.cached_wheel(made, tmp_path) is None
    said = capsys.readouterr().out
    assert "コンパイルします" in said
    assert "build-essential" in said
    assert "0.0.0.dev404" in said
    assert not list((tmp_path / "key").glob(".build-*"))


def test_a_wrong_backend_exits_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hoshikage.engine.build"],
        env={"BACKEND": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "BACKEND=x" in done.stdout) == (2, True)
