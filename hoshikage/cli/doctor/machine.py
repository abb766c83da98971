"""The machine: versions, GPU, RAM disk and whether sudo may mount it."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from hoshikage.cli.doctor.findings import Finding, better, fault, well
from hoshikage.engine.build import gpu_present, installed_build
from hoshikage.keeper import wish
from hoshikage.ramdisk.mounts import GIB
from hoshikage.ramdisk.place import Machine, State, expected, told
from hoshikage.settings import Settings

PACKAGES = ("llama-cpp-python", "hypercorn", "starlette", "msgspec", "huggingface_hub")
ON = "RAMDISK_PATH=/mnt/temp/hoshikage hoshikage serve"


def versions() -> Iterator[Finding]:
    own, python = version("hoshikage"), platform.python_version()
    yield well("versions", version=own, python=python, platform=platform.platform())
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            yield fault("package_missing", "make engine" if package == PACKAGES[0] else "make serve", package=package)
    yield well("packages", packages=", ".join(found))


def gpu() -> Iterator[Finding]:
    name, build = gpu_present(), installed_build()
    backend = build.backend if build else "unknown"
    if name and backend == "cpu":
        yield better("gpu_unused", "BACKEND=cuda make engine", gpu=name)
    elif name:
        yield well("gpu", gpu=name, backend=backend)
    else:
        yield well("gpu_none", backend=backend)


def ramdisk(settings: Settings, machine: Machine) -> Iterator[Finding]:
    """Mounts nothing and asks nobody for a password."""
    state, reason = expected(wish(settings), machine)
    path = settings.ramdisk_path
    if state is State.MOUNTED:
        yield well("ramdisk", state=state, reason=reason)
    elif path is None or not settings.ramdisk_size_gb:
        yield better("ramdisk", ON, state=state, reason=reason)
    else:
        command = machine.mounts.mounting(path, machine.capped(int(settings.ramdisk_size_gb * GIB)))
        reason, _, remedy = reason.partition("; run: ")
        yield better("ramdisk", remedy or told(command), state=state, reason=reason)
    yield from sudo(settings, machine)


def sudo(settings: Settings, machine: Machine) -> Iterator[Finding]:
    path = settings.ramdisk_path
    if path is None or not settings.ramdisk_size_gb or machine.mounts.uid == 0 or machine.mounts.in_memory(path):
        yield well("sudo_unneeded")
        return
    command = machine.mounts.mounting(path, machine.capped(int(settings.ramdisk_size_gb * GIB)))
    if machine.run(["sudo", "-n", "-l", *command[2:]]):
        yield better("sudo_refused", "sudo visudo -f /etc/sudoers.d/hoshikage")
    else:
        yield well("sudo")
