"""Who may lie on the RAM disk, and who goes first. Pure: numbers in, names out.

Snapshots have a share that no copy takes: they save seconds of computing, a copy only a reading. In the rest, the
copies that were unused for longest go first; one that a worker maps never goes, since that frees nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """A copy that is there."""

    name: str
    size: int
    used_ns: int
    mapped: bool


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes: the disk's, the snapshots' share and what they have of it, what the file system and the memory spare."""

    capacity: int
    share: int
    snapshots: int
    free: int
    memory: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`remove` makes room; where that is not enough, nothing is removed and `refusal` tells why."""

    remove: tuple[str, ...] = ()
    refusal: str = ""


def plan(size: int, held: Sequence[Held], room: Room) -> Plan:
    """How `size` bytes more fit."""
    going, freed = _going(size - spare(held, room), held)
    have = spare(held, room) + freed
    if have >= size:
        return Plan(going)
    short = "memory" if room.memory + freed == have else "room on the RAM disk"
    return Plan(refusal=f"it needs {_mb(size)} MB, and there is {short} for {_mb(max(0, have))} MB")


def relief(held: Sequence[Held], short: int) -> tuple[str, ...]:
    """The copies that go where so many bytes of memory are missing, as far as they help."""
    return _going(short, held)[0]


def spare(held: Sequence[Held], room: Room) -> int:
    """Bytes for another copy as things are."""
    disk = room.capacity - room.share - sum(each.size for each in held)
    return min(disk, room.free - max(0, room.share - room.snapshots), room.memory)


def _going(need: int, held: Sequence[Held]) -> tuple[tuple[str, ...], int]:
    names, freed = [], 0
    for each in sorted((each for each in held if not each.mapped), key=lambda each: each.used_ns):
        if freed >= need:
            break
        names.append(each.name)
        freed += each.size
    return tuple(names), freed


def _mb(size: int) -> int:
    return size // 10**6
