"""How many prefill tokens fit into a step while others stream, by measured time. Pure."""

FIRST_CHUNK = 64
"""Tokens, before anything was measured."""
LEAST_CHUNK = 16
TILE = 64
"""llama.cpp's attention takes so many rows of a batch together; a batch that fills its tiles costs least a token."""
NEARLY = 2 / 3
"""Of a tile: from here on it is filled, though the step then takes up to half as long again."""
MEASURED_FROM = 16
"""Prefill tokens from which on a step says something about the time of one."""
WEIGHT = 0.3
"""Of a new measurement in the running mean."""


class Pace:
    """Learns the time of a decode step and of a prefill token; `budget_ns` is how long a step may take."""

    def __init__(self, budget_ns: int) -> None:
        self._budget_ns = budget_ns
        self._decode_ns = 0.0
        self._token_ns = 0.0

    def chunk(self, decoding: int) -> int:
        """Prefill tokens for a step in which so many others decode."""
        if not self._token_ns:
            return FIRST_CHUNK - decoding
        room = (self._budget_ns - self._decode_ns) / self._token_ns
        if room < NEARLY * TILE:
            return max(LEAST_CHUNK, int(room))
        return max(1, round(room / TILE)) * TILE - decoding

    def learn(self, prefill: int, elapsed_ns: int) -> None:
        """A step with `prefill` prompt tokens has taken so long."""
        if prefill == 0:
            self._decode_ns = mean(self._decode_ns, elapsed_ns)
        elif prefill >= MEASURED_FROM:
            self._token_ns = mean(self._token_ns, max(1.0, (elapsed_ns - self._decode_ns) / prefill))


def mean(old: float, new: float) -> float:
    """The running mean, which starts with the first value."""
    return old + WEIGHT * (new - old) if old else new
