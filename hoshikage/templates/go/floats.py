"""float64 -> text by Go's rules (strconv with the fewest digits that read back the same)."""

import math

SPECIAL = {math.inf: "+Inf", -math.inf: "-Inf"}
SHORT_EXPONENTS = range(-4, 6)
"""Where %v writes a float without exponent."""


def general(value: float) -> str:
    """As %v."""
    if not math.isfinite(value):
        return SPECIAL.get(value, "NaN")
    sign, digits, exponent = _digits(value)
    return sign + (_positional(digits, exponent) if exponent in SHORT_EXPONENTS else _scientific(digits, exponent))


def json(value: float) -> str:
    """As encoding/json. Raises ValueError for what JSON cannot hold."""
    if not math.isfinite(value):
        raise ValueError("unsupported value")
    sign, digits, exponent = _digits(value)
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return sign + _positional(digits, exponent)
    return sign + _scientific(digits, exponent).replace("e-0", "e-")


def hexadecimal(value: float) -> str:
    """As %x, for finite numbers: `0x1.8p+00`."""
    mantissa, exponent = value.hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent[0]}{exponent[1:]:0>2}"


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, the shortest digits, and the power of ten of the first one."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    power = int(exponent or 0) + len(whole) - 1 - (len(whole + fraction) - len(digits))
    sign = "-" if math.copysign(1, value) < 0 else ""
    return (sign, digits.rstrip("0"), power) if digits else (sign, "0", 0)


def _positional(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole, fraction = digits[: exponent + 1], digits[exponent + 1 :]
    return whole.ljust(exponent + 1, "0") + (f".{fraction}" if fraction else "")


def _scientific(digits: str, exponent: int) -> str:
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
