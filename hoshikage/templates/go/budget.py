"""What a template may cost: its size, nesting, steps and text. A hostile one fails instead of hanging the server."""

TEMPLATE_BYTES_MAX = 1 << 20
NESTING_MAX = 64
"""Blocks and parentheses around one another; real templates stay under 15."""
STEPS_MAX = 1_000_000
"""Evaluated nodes: 10,000 messages with a hundred nodes each, some three seconds."""
CHARACTERS_MAX = 1 << 26
"""Of the output, and of all texts that functions make on the way."""
SCANNED_PER_CHARACTER = 16
"""So many compared or copied items cost as much as one character made."""


class Failure(Exception):
    """Evaluation cannot go on; the text says why, without the place."""


class Budget:
    """Counts down while one template runs."""

    def __init__(self) -> None:
        self._steps = STEPS_MAX
        self._characters = CHARACTERS_MAX

    def step(self, count: int = 1) -> None:
        """Pay for `count` nodes. Raises Failure when the template has had its share."""
        self._steps -= count
        if self._steps < 0:
            raise Failure(f"the template took more than {STEPS_MAX} steps")

    def made(self, characters: int) -> None:
        """Pay for a text. Raises Failure when there were too many."""
        self._characters -= characters
        if self._characters < 0:
            raise Failure(f"the template made more than {CHARACTERS_MAX} characters")

    def scanned(self, items: int) -> None:
        """Pay for characters compared or list items copied."""
        self.made(items // SCANNED_PER_CHARACTER)
