"""Machines for the tests of the RAM disk: their mounts, memory and commands are files and functions of the test's."""

from dataclasses import dataclass, field
from pathlib import Path

from hoshikage.ramdisk.disk import Ramdisk
from hoshikage.ramdisk.memory import Memory
from hoshikage.ramdisk.mounts import Mounts
from hoshikage.ramdisk.place import GB as GB
from hoshikage.ramdisk.place import Machine, Wish

KB = 1024
MB = 10**6


@dataclass
class Made:
    """A machine whose folder `shm` is in memory, with so many bytes in all and available."""

    root: Path
    total: int = 8000 * MB
    available: int = 6000 * MB
    refusal: str = "not allowed"
    uid: int = 1000
    ran: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("shm", "disk", "home", "proc"):
            (self.root / name).mkdir()
        self.mount(self.root / "shm")
        self.tell()

    def mount(self, point: Path) -> None:
        """`point` is a tmpfs from now on."""
        row = f"tmpfs {str(point).replace(' ', chr(92) + '040')} tmpfs rw 0 0\n"
        table = self.root / "mounts"
        table.write_text((table.read_text() if table.exists() else "/dev/x / ext4 rw 0 0\n") + row)

    def tell(self) -> None:
        """Write down how much memory there is."""
        text = f"MemTotal: {self.total // KB} kB\nMemAvailable: {self.available // KB} kB\n"
        (self.root / "proc/meminfo").write_text(text)

    def run(self, command: list[str]) -> str:
        """Does what mount does, as far as can be seen in the table; or refuses."""
        self.ran.append(command)
        if not self.refusal and "-l" not in command:
            self.mount(Path(command[-1]))
        return self.refusal

    @property
    def machine(self) -> Machine:
        mounts, memory = (
            Mounts(self.root / "mounts", self.uid, self.uid),
            Memory(self.root / "proc", self.root / "none"),
        )
        return Machine(self.root / "shm", mounts, memory, self.run)

    def wish(self, path: str = "disk/ram", size_gb: float = 2, home: str = "home") -> Wish:
        return Wish(self.root / path, size_gb, self.root / home)

    def disk(self, path: str = "shm/mine", size_gb: float = 2, home: str = "home") -> Ramdisk:
        """A RAM disk in shared memory, not opened yet."""
        return Ramdisk(self.wish(path, size_gb, home), self.machine)
