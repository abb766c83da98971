"""The build helper: which backend, which key, and what a user hears."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
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
    assert made.cmake_args.startswith("-DGGML_CUDA=on ")
    assert made.cmake_args.endswith(" -DGGML_NATIVE=off")
    assert made.key != build.build_of(Choice("cuda"), {}, "1").key


@pytest.mark.parametrize(
    ("compiler", "flags", "broken"),
    [
        ("cc (Debian 12.2.0-14+deb12u1) 12.2.0", "amx_int8 amx_tile avx2", True),
        ("gcc-13 (Ubuntu 13.2.0-23ubuntu4) 13.2.0", "amx_int8", True),
        ("cc (Debian 14.2.0-19) 14.2.0", "amx_int8 amx_tile", False),
        ("cc (Debian 12.2.0-14+deb12u1) 12.2.0", "avx2 avx512f", False),
        ("Debian clang version 14.0.6", "amx_int8", False),
        ("none", "amx_int8", False),
    ],
)
def test_amx_is_left_out_where_the_compiler_breaks_it(compiler: str, flags: str, broken: bool) -> None:
    assert build.breaks_amx(compiler, flags) is broken


def test_a_cuda_build_belongs_to_its_toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    keys = {"cpu": set[str](), "cuda": set[str]()}
    for release in ("12.4", "13.0"):
        (tmp_path / "nvcc").write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V'\n")
        (tmp_path / "nvcc").chmod(0o755)
        for backend, seen in keys.items():
            seen.add(build.build_of(Choice(backend), {}, "1").key)
    assert {backend: len(seen) for backend, seen in keys.items()} == {"cpu": 1, "cuda": 2}


def test_a_compiler_with_arguments_is_asked_and_a_missing_one_is_no_error() -> None:
    assert build.compiler({"CC": "cc -pipe"}) == build.compiler({}) != ""
    assert build.compiler({"CC": "no-such-compiler"}) == "none"


def test_the_version_is_the_projects_pin() -> None:
    assert build.pinned_version(build.PROJECT).count(".") == 2


def test_the_cpus_flags_do_not_depend_on_their_order(tmp_path: Path) -> None:
    for name, flags in (("a", "avx2 sse"), ("b", "sse avx2")):
        (tmp_path / name).write_text(f"processor : 0\nflags\t\t: {flags}\n")
    assert build.processor(tmp_path / "a") == build.processor(tmp_path / "b") == "avx2 sse"


def wheel(folder: Path, version: str = "0.0.1") -> Path:
    folder.mkdir(parents=True)
    path, info = folder / f"llama_cpp_python-{version}-py3-none-any.whl", f"llama_cpp_python-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_a_cached_wheel_is_installed_written_down_and_put_back_when_it_is_gone(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python, version = str(tmp_path / "env/bin/python"), build.pinned_version(build.PROJECT)
    environ = {**os.environ, "BACKEND": "cpu", "HOSHIKAGE_WHEELS": str(tmp_path / "wheels")}
    wanted = build.build_of(choose("cpu"), environ, version)
    wheel(tmp_path / "wheels" / wanted.key, version)
    installed = tmp_path / f"env/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    for _ in range(2):
        command = [python, "-m", "hoshikage.engine.build"]
        subprocess.run(command, env=environ, cwd=build.PROJECT.parent, check=True)
        assert build.installed_build(tmp_path / "env") == wanted
        shutil.rmtree(installed / f"llama_cpp_python-{version}.dist-info")


def test_the_cache_is_used_before_the_compiler(tmp_path: Path) -> None:
    made = build.Build("key", "0.0.1", "cpu", "")
    cached = wheel(tmp_path / "key")
    assert build.cached_wheel(made, tmp_path) == cached


BACKEND = """
import os, subprocess, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open(os.environ["CALLS"], "a") as calls:
        print("compiled", file=calls, flush=True)
        subprocess.run(os.environ["CMAKE_ARGS"], shell=True, check=True, pass_fds=[calls.fileno()])
    name, info = "llama_cpp_python-0.0.1-py3-none-any.whl", "llama_cpp_python-0.0.1.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: llama-cpp-python\\nVersion: 0.0.1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
MAKE = """
import sys
from pathlib import Path
from hoshikage.engine import build
made = build.Build("key", "0.0.1", sys.argv[3], sys.argv[2])
sys.exit(build.cached_wheel(made, Path(sys.argv[1])) is None)
"""


@pytest.fixture
def source(tmp_path: Path) -> dict[str, str]:
    """The environment of a make that finds a source package whose "compiler" runs CMAKE_ARGS as a command."""
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    metadata = "Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: 0.0.1\n"
    with tarfile.open(tmp_path / "llama_cpp_python-0.0.1.tar.gz", "w:gz") as archive:
        for name, text in (("pyproject.toml", project), ("backend.py", BACKEND), ("PKG-INFO", metadata)):
            member = tarfile.TarInfo(f"llama_cpp_python-0.0.1/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    return {**kept, **pip, "CALLS": str(tmp_path / "calls")}


def make(tmp_path: Path, environ: dict[str, str], command: str, backend: str = "cpu") -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", MAKE, str(tmp_path / "wheels"), command, backend]
    return subprocess.Popen(
        arguments, env=environ, cwd=build.PROJECT.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "wheels/key").iterdir())


def test_two_makes_compile_once(tmp_path: Path, source: dict[str, str]) -> None:
    killed = tmp_path / "wheels/key/.build-killed"
    killed.mkdir(parents=True)
    makes = [make(tmp_path, source, "true") for _ in range(2)]
    said = [each.communicate(timeout=60)[0] for each in makes]
    assert [each.returncode for each in makes] == [0, 0]
    assert (tmp_path / "calls").read_text() == "compiled\n"
    assert sum("コンパイルします" in each for each in said) == 1
    assert left(tmp_path) == [".lock", "build.log", "llama_cpp_python-0.0.1-py3-none-any.whl"]


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_a_failing_compiler_shows_the_log_and_the_way_out(tmp_path: Path, source: dict[str, str], backend: str) -> None:
    with make(tmp_path, source, "echo cc1: out of cheese; exit 1", backend) as failing:
        said, _ = failing.communicate(timeout=60)
    assert failing.returncode == 1
    assert "cc1: out of cheese" in said
    assert "build-essential" in said
    assert ("BACKEND=cpu" in said) == (backend == "cuda")
    assert left(tmp_path) == [".lock", "build.log"]


def test_ctrl_c_ends_the_compilers_below_pip(tmp_path: Path, source: dict[str, str]) -> None:
    os.mkfifo(tmp_path / "calls")
    with make(tmp_path, source, "sleep 600") as interrupted:
        with (tmp_path / "calls").open() as calls:
            assert calls.readline() == "compiled\n"
            interrupted.send_signal(signal.SIGINT)
            assert not calls.read()  # ends when no process of the build holds the other end
        interrupted.communicate(timeout=60)
    assert left(tmp_path) == [".lock", "build.log"]


def test_a_wrong_backend_exits_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hoshikage.engine.build"],
        env={"BACKEND": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "BACKEND=x" in done.stdout) == (2, True)
