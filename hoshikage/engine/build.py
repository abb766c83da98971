"""Installs llama-cpp-python: compiled once per machine, kept as a wheel. Run by make before anything else is installed.

Standard library only. pip's own cache is not used: it ignores CMAKE_ARGS and would reuse a CPU build for a GPU.
"""

import fcntl
import hashlib
import io
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path

from hoshikage.engine.backend import Choice, choose, gpu_present, nvcc_version
from hoshikage.processes import group

PROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"
PACKAGE = "llama-cpp-python"
MARK = ".hoshikage-engine"
PIP_WHEEL = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--no-binary", PACKAGE)
TELL_SECONDS = 15
LOG_LINES = 30
UNPUBLISHED = ".build-"
SOUND_GCC = 14
"""Older ones drop most of a tile configuration before it is loaded, and AMX's first instruction traps (bug 114098)."""
WITHOUT_AMX = "-DCMAKE_C_FLAGS=-U__AMX_INT8__ -DCMAKE_CXX_FLAGS=-U__AMX_INT8__"

START = """\
⏳ llama.cpp をコンパイルします（2 コアで 4〜8 分、このマシンで 1 回だけ）。ログ: {log}
⏳ Compiling llama.cpp (4 to 8 minutes on two cores, once per machine). Log: {log}"""
FAILED = """\
❌ llama.cpp のコンパイルに失敗しました。C/C++ コンパイラがなければ: sudo apt-get install build-essential
❌ llama.cpp could not be compiled. Without a C/C++ compiler: sudo apt-get install build-essential
The end of {log}:
{tail}"""
GPU_FAILED = """\
ℹ️ GPU なしで使うには: make serve BACKEND=cpu
ℹ️ To go on without the GPU: make serve BACKEND=cpu"""


@dataclass(frozen=True, slots=True)
class Build:
    """What is installed, or is to be. `key` names the folder of its wheel."""

    key: str
    version: str
    backend: str
    cmake_args: str


def installed_build(prefix: Path = Path(sys.prefix)) -> Build | None:
    """The build in this environment, as it was written down; None if make did not install it."""
    try:
        return Build(**json.loads((prefix / MARK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def installed_version() -> str | None:
    """What is really in this environment, whatever the mark says."""
    try:
        return version_of(PACKAGE)
    except PackageNotFoundError:
        return None


def main() -> int:
    """Install the build that fits this machine. Exit codes: 0 done, 1 it could not be compiled, 2 bad BACKEND."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Japanese is no reason to fail
    try:
        choice = choose(os.environ.get("BACKEND", "auto"))
    except ValueError as error:
        return tell(f"❌ {error}", 2)
    for note in choice.notes:
        tell(f"ℹ️ {note}")
    wanted = build_of(choice, os.environ, pinned_version(PROJECT))
    if installed_build() == wanted and installed_version() == wanted.version:
        return 0
    wheel = cached_wheel(wanted, cache_folder(os.environ))
    return install(wheel, wanted) if wheel else 1


def tell(text: str, code: int = 0) -> int:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return code


def pinned_version(project: Path) -> str:
    """The version of llama-cpp-python that pyproject.toml pins."""
    wants: list[str] = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    return next(want.split("==")[1] for want in wants if want.startswith(f"{PACKAGE}=="))


def build_of(choice: Choice, environ: Mapping[str, str], version: str) -> Build:
    """The build for a choice of backend; the user's own CMAKE_ARGS come last, so that they win."""
    amx = WITHOUT_AMX if breaks_amx(compiler(environ), processor()) else ""
    args = " ".join(filter(None, [choice.cmake_args, amx, environ.get("CMAKE_ARGS", "").strip()]))
    # A CUDA build is linked to one toolkit's libraries and compiled for the GPU that is there.
    cuda = (str(nvcc_version()), str(gpu_present())) if choice.backend == "cuda" else ()
    return Build(key_of(version, args, compiler(environ), processor(), *cuda), version, choice.backend, args)


def breaks_amx(compiler: str, flags: str) -> bool:
    """Whether this compiler would make AMX code for this CPU that traps."""
    found = re.search(r"\) (\d+)\.\d+", compiler)
    return "amx_int8" in flags.split() and "clang" not in compiler and found is not None and int(found[1]) < SOUND_GCC


def key_of(*ingredients: str) -> str:
    """What a compiled wheel depends on, as the name of its folder."""
    machine = f"{sys.platform}-{platform.machine()}"
    return hashlib.sha256("\n".join([machine, *ingredients]).encode()).hexdigest()[:24]


def compiler(environ: Mapping[str, str]) -> str:
    """The C compiler's own first line; CC may hold arguments or a launcher, as in `ccache gcc`."""
    command = shlex.split(environ.get("CC") or "cc")
    if not shutil.which(command[0]):
        return "none"
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's flags, for which llama.cpp is compiled."""
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return " ".join(sorted(flags.partition(":")[2].split()))


def cache_folder(environ: Mapping[str, str]) -> Path:
    if own := environ.get("HOSHIKAGE_WHEELS"):
        return Path(own)
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache"
    return Path(base) / "hoshikage" / "wheels"


def cached_wheel(wanted: Build, cache: Path) -> Path | None:
    """The wheel from the cache, compiled first if need be; None if that failed. Two makes compile once."""
    folder = cache / wanted.key
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return wheel_in(folder) or compile_wheel(wanted, folder)


def wheel_in(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.whl"))), None)


def compile_wheel(wanted: Build, folder: Path) -> Path | None:
    """Called with the folder's lock held."""
    for left in folder.glob(f"{UNPUBLISHED}*"):  # of a make that was killed
        shutil.rmtree(left, ignore_errors=True)
    log = folder / "build.log"
    tell(START.format(log=log))
    with tempfile.TemporaryDirectory(dir=folder, prefix=UNPUBLISHED) as made:
        wheel = wheel_in(Path(made)) if run_compiler(wanted, Path(made), log) else None
        if wheel is None:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
            tell(FAILED.format(log=log, tail=tail))
            if wanted.backend != "cpu":
                tell(GPU_FAILED)
            return None
        return wheel.replace(folder / wheel.name)


def run_compiler(wanted: Build, folder: Path, log: Path) -> bool:
    """pip wheel, with a sign of life every TELL_SECONDS."""
    started = time.monotonic()
    scratch = folder / "tmp"
    scratch.mkdir()
    command = [*PIP_WHEEL, "--wheel-dir", str(folder), f"{PACKAGE}=={wanted.version}"]
    environ = {"TMPDIR": str(scratch), **os.environ, "CMAKE_ARGS": wanted.cmake_args}
    with log.open("wb") as out, group(command, environ, out) as process:
        while not ended(process):
            tell(f"   … {time.monotonic() - started:.0f} s")
    return process.returncode == 0


def ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(TELL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def install(wheel: Path, wanted: Build, prefix: Path = Path(sys.prefix)) -> int:
    """Put the wheel into this environment, and write down what it is."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", str(wheel)]
    (prefix / MARK).unlink(missing_ok=True)
    code = subprocess.run(command, check=False).returncode
    if code == 0:
        (prefix / MARK).write_text(json.dumps(asdict(wanted)), encoding="utf-8")
    return 1 if code else 0


__all__ = ["Build", "gpu_present", "installed_build", "main"]

if __name__ == "__main__":
    sys.exit(main())
