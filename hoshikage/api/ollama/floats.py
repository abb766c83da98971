"""float32 numbers in their shortest decimals, as Go writes them. Python itself knows float64 only."""

from array import array
from decimal import Decimal

DIGITS = range(7, 10)
"""Seven give the shorter ones too, since zeros at the end are left out; nine are enough for every number."""
LEAST = Decimal("1e-6")
"""What is smaller is written with an exponent."""


def float32s(values: "array[float]") -> bytes:
    """A JSON list. Each pass tries one digit more, for the numbers that were not read back as they are."""
    texts = [""] * len(values)
    left = list(range(len(values)))
    for digits in DIGITS:
        tried = [f"{values[at]:.{digits}g}" for at in left]
        read_back = array("f", map(float, tried))
        wrong = []
        for at, text, value in zip(left, tried, read_back, strict=True):
            if value == values[at]:
                texts[at] = text
            else:
                wrong.append(at)
        left = wrong
    return f"[{','.join(map(_as_go, texts))}]".encode()


def _as_go(text: str) -> str:
    if "e" not in text:
        return text
    number = Decimal(text)
    plain = abs(number) >= LEAST and abs(number) < Decimal("1e21")
    return f"{number:f}" if plain else text.replace("e-0", "e-").replace("e+0", "e+")
