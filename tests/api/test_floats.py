"""float32 in its shortest decimals."""

import json
import struct
from array import array

from hypothesis import given
from hypothesis import strategies as some

from hoshikage.api.ollama.floats import float32s

FINITE = some.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)


def test_the_decimals_are_gos() -> None:
    values = array("f", [0.1, -0.5, 0.0, 1.0, 16777216.0, 0.00005, 1e-7, 3.4028235e38, 0.06642948])
    expected = b"[0.1,-0.5,0,1,16777216,0.00005,1e-7,3.4028235e+38,0.06642948]"
    assert float32s(values) == expected
    assert float32s(array("f")) == b"[]"


@given(some.lists(FINITE, max_size=8))
def test_every_number_is_read_back_as_it_was(values: list[float]) -> None:
    given_ = array("f", values)
    assert array("f", json.loads(float32s(given_))) == given_


@given(FINITE)
def test_no_digit_could_be_left_out(value: float) -> None:
    text = float32s(array("f", [value])).decode().strip("[]")
    digits = len(text.partition("e")[0].replace(".", "").replace("-", "").strip("0"))
    [exact] = struct.unpack("f", struct.pack("f", value))
    assert all(array("f", [float(f"{exact:.{fewer}g}")])[0] != exact for fewer in range(1, digits))
