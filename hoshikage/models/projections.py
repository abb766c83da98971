"""The two projections of the registry as bytes; of its entries only those that have changed are encoded. No file."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from hoshikage.models.entry import Entry
from hoshikage.models.tags import card, latest_first, tag

Pieces = tuple[Entry, Raw, Raw]
"""An entry, its place in `tags` and its place in `cards`."""


class Projections:
    """`tags` is Ollama's /api/tags, `cards` OpenAI's list."""

    def __init__(self) -> None:
        self.tags = self.cards = b""
        self._known: dict[str, Pieces] = {}

    def take(self, entries: Iterable[Entry]) -> None:
        """Make both of these entries; an entry that is the same object as before is taken as it was."""
        self._known = {entry.name: self._pieces(entry) for entry in entries}
        by_age = [self._known[entry.name][1] for entry in latest_first(entry for entry, _, _ in self._known.values())]
        self.tags = msgspec.json.encode({"models": by_age})
        self.cards = msgspec.json.encode({"object": "list", "data": [each for _, _, each in self._known.values()]})

    def _pieces(self, entry: Entry) -> Pieces:
        known = self._known.get(entry.name)
        if known and known[0] is entry:
            return known
        return entry, Raw(msgspec.json.encode(tag(entry))), Raw(msgspec.json.encode(card(entry)))
