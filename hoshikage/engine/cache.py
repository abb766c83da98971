"""The KV cache of one model with its snapshots: the scheduler's `Memory` over llama.cpp and the shelf.

The context is made anew to grow; the states of its sequences move through ordinary memory.
"""

import ctypes
import logging
from collections.abc import Callable

from hoshikage.engine.ledger import Ledger
from hoshikage.engine.llama.context import Context
from hoshikage.engine.prefix import Resident, Saved
from hoshikage.engine.shelf import Shelf
from hoshikage.engine.snapshots import Part, Reader, Refusal, SnapshotRefused
from hoshikage.errors import LoadFailed, SequenceFailed

LEAST_SAVED = 32
"""Tokens; evaluating fewer is cheaper than a file."""
CHECKPOINTS = 3
"""Turn ends at which a snapshot of a sliding-window model can be cut."""

log = logging.getLogger("hoshikage.cache")

Make = Callable[[int], Context]


class Cache:
    """Owns the context. `make(cells)` makes one; its sequence id `scratch` is used by nobody else."""

    def __init__(self, make: Make, cells: int, scratch: int, shelf: Shelf | None) -> None:
        self.context = make(cells)
        self._make = make
        self._scratch = scratch
        self._shelf = shelf

    def holds(self, slot: int, keep: int) -> bool:
        return self.context.holds(slot, keep)

    def cut(self, slot: int, keep: int) -> int:
        return self.context.cut(slot, keep)

    def copy(self, source: int, slot: int, length: int) -> int:
        return self.context.copy(source, slot, length)

    def find(self, owner: str, tokens: list[int]) -> Saved | None:
        return self._shelf.find(owner, tokens) if self._shelf else None

    def foreign(self, owner: str, tokens: list[int]) -> bool:
        return self._shelf.foreign(owner, tokens) if self._shelf else False

    def save(self, resident: Resident) -> bool:
        """Write a snapshot of what the cache holds of a sequence, with checkpoints at its turn ends.

        Whether the sequence can go without loss now: it can where evaluating it again is cheaper than a file.
        """
        tokens = resident.tokens[: resident.n_past]
        if resident.saved != len(tokens):
            cheap = len(tokens) < LEAST_SAVED
            resident.stored = cheap or (self._shelf is not None and self._write(self._shelf, resident, tokens))
            resident.saved = len(tokens)
        return resident.stored

    def restore(self, saved: Saved, slot: int, owner: str, tokens: list[int]) -> int:
        """Put a snapshot into an empty sequence. Returns how many tokens it holds now: `saved.length`, or 0."""
        assert self._shelf is not None  # noqa: S101  it has found `saved`
        wanted = tokens[: saved.length]
        kept = self._shelf.read(saved.key, owner, wanted, lambda reader: self._load(reader, slot, saved.length))
        if not kept:
            self.context.cut(slot, 0)
        return kept

    def grow(self, cells: int, ledger: Ledger) -> bool:
        """A larger cache with the same sequences, which share no cells any more; False if it cannot be had.

        Raises SequenceFailed if a state was lost on the way.
        """
        try:
            larger = self._make(cells)
        except LoadFailed as error:
            log.warning("the KV cache stays at %d tokens: %s", self.context.cells, error)
            return False
        for slot in ledger.slots():
            state = self._state(slot)
            if not larger.load(slot, ctypes.addressof(state), len(state)):
                raise SequenceFailed(reason="a sequence did not survive the growth of the KV cache")
        self.context.close()
        self.context = larger
        return True

    def _state(self, slot: int, *, partial: bool = False) -> "ctypes.Array[ctypes.c_uint8]":
        size = self.context.state_size(slot, partial=partial)
        state = (ctypes.c_uint8 * size)()
        self.context.save(slot, ctypes.addressof(state), size, partial=partial)
        return state

    def _write(self, shelf: Shelf, resident: Resident, tokens: list[int]) -> bool:
        windows = self._checkpoints(shelf, resident, tokens) if self.context.window else {}
        parts = [Part(len(tokens), self.context.state_size(resident.slot))]
        parts += [Part(at, len(windows[at])) for at in sorted(windows)]
        with shelf.writing(resident.owner, tokens, parts) as writer:
            if writer is not None:
                self.context.save(resident.slot, writer.address(0), parts[0].size)
                for index, part in enumerate(parts[1:], start=1):
                    writer.put(index, windows[part.position])
        return writer is not None and writer.published

    def _checkpoints(self, shelf: Shelf, resident: Resident, tokens: list[int]) -> dict[int, bytes]:
        """The sliding-window layers at the last turn ends: from the cache while it has them, else from the snapshots
        that this one replaces."""
        windows: dict[int, bytes] = {}
        for entry in shelf.shorter(resident.owner, tokens) if len(tokens) > self.context.window else ():
            shelf.read(entry.path.stem, resident.owner, entry.tokens, lambda reader: _collect(reader, windows))
        for mark in resident.marks:
            if 0 < mark < len(tokens) and len(tokens) > self.context.window and self.holds(resident.slot, mark):
                windows[mark] = self._window(resident.slot, mark)
        return {at: windows[at] for at in sorted(windows)[-CHECKPOINTS:]}

    def _window(self, slot: int, position: int) -> bytes:
        self.context.checkpoint(slot, self._scratch, position)
        try:
            return bytes(self._state(self._scratch, partial=True))
        finally:
            self.context.trim(self._scratch, 0)

    def _load(self, reader: Reader, slot: int, length: int) -> int:
        parts, context = reader.header.parts, self.context
        if not context.load(slot, reader.address(0), parts[0].size):
            raise SnapshotRefused(Refusal.STATE)
        for index, part in enumerate(parts[1:], start=1):
            if part.position == length and not context.holds(slot, length):
                context.trim(slot, length)
                context.load(slot, reader.address(index), part.size, partial=True)
        if not context.holds(slot, length):
            raise SnapshotRefused(Refusal.STATE)
        return context.cut(slot, length)


def _collect(reader: Reader, windows: dict[int, bytes]) -> int:
    windows.update({part.position: reader.bytes(i) for i, part in enumerate(reader.header.parts[1:], start=1)})
    return 1
