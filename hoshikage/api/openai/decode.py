"""Bodies of OpenAI's dialect -> structs, with the field that is wrong named. Knows no route and no option."""

from typing import TypeVar

import msgspec

from hoshikage.api.errors import OpenAIFault

Number = int | float
"""msgspec refuses 40.0 for an int, and real clients send it."""

T = TypeVar("T")


def decoded(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """The request. Raises OpenAIFault (400) naming the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        param = path.rstrip("`").lstrip(".") or None
        code = "missing_required_parameter" if "missing required" in text else "invalid_type"
        raise OpenAIFault(f"{param}: {text}" if param else text, param=param, code=code) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OpenAIFault(f"the request body is not valid JSON: {error}") from error


def integer(name: str, value: Number | None) -> int | None:
    """Raises OpenAIFault (400) for a fraction."""
    if value is None or int(value) == value:
        return None if value is None else int(value)
    raise OpenAIFault(f"{name} is {value}: it must be an integer", param=name, code="invalid_type")
