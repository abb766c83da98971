"""Builds `llama-server` from the llama.cpp inside the llama-cpp-python that is installed; prints where it lies.

Configured from the sdist's own root, so that source, options and compiler flags are the wheel's. What is built is kept
in the user's cache, in a folder named after the wheel's key and the switches here. Run it by itself to build.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from hoshikage.engine.build import PACKAGE, UNPUBLISHED, Build, cache_folder, ended, installed_build, key_of, tell
from hoshikage.processes import group

# The server and nothing else: no web page (its assets come from the network), no TLS, no second copy of mtmd.
SWITCHES = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON",
    "-DLLAVA_BUILD=OFF",
    "-DLLAMA_BUILD_TOOLS=ON",
    "-DLLAMA_BUILD_SERVER=ON",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
PROGRAM = "llama-server"
START = "⏳ Compiling llama-server (5 to 10 minutes on two cores, once per machine). Log: {log}"


def main() -> int:
    print(binary())
    return 0


def binary() -> Path:
    """The program, built first if need be. Raises SystemExit, naming the log, if that fails."""
    build = installed_build()
    if build is None:
        raise SystemExit("llama-cpp-python was not installed by make; run `make .venv/.base` first")
    folder = cache_folder(os.environ) / f"{PROGRAM}-{key_of(build.key, *SWITCHES)}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "bin" / PROGRAM).exists():
            compile_into(folder, build)
    return folder / "bin" / PROGRAM


def compile_into(folder: Path, build: Build) -> None:
    """Called with the folder's lock held."""
    for left in folder.glob(f"{UNPUBLISHED}*"):  # of a build that was killed
        shutil.rmtree(left, ignore_errors=True)
    log = folder / "build.log"
    log.unlink(missing_ok=True)
    tell(START.format(log=log))
    with tempfile.TemporaryDirectory(dir=folder, prefix=UNPUBLISHED) as temporary:
        made = Path(temporary) / "made"
        source = unpacked_source(Path(temporary), build.version, log)
        # The user's own CMAKE_ARGS come last in the wheel's build too.
        step(["cmake", "-S", str(source), "-B", str(made), *SWITCHES, *build.cmake_args.split()], log)
        step(["cmake", "--build", str(made), "--target", PROGRAM, "--parallel", str(os.cpu_count() or 1)], log)
        shutil.rmtree(folder / "bin", ignore_errors=True)
        next(made.rglob(f"bin/{PROGRAM}")).parent.rename(folder / "bin")


def unpacked_source(folder: Path, version: str, log: Path) -> Path:
    """The sdist of exactly this version, fetched by pip and unpacked."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE]
    step([*pip, "--dest", str(folder), f"{PACKAGE}=={version}"], log)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "source", filter="data")
    return next((folder / "source").iterdir())


def step(command: list[str], log: Path) -> None:
    """One command to its end, with a sign of life; its output goes to the log."""
    started = time.monotonic()
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with log.open("ab") as out, group(command, environ, out) as process:
        while not ended(process):
            tell(f"   … {time.monotonic() - started:.0f} s")
    if process.returncode:
        raise SystemExit(f"❌ {command[0]} failed; the reason is at the end of {log}")


def described(program: Path) -> str:
    """Version and commit, as the program itself says them."""
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    return " ".join((done.stdout + done.stderr).split())


if __name__ == "__main__":
    sys.exit(main())
