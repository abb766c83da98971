"""Values -> JSON as encoding/json writes it: no spaces, `<`, `>` and `&` escaped. Keys keep their order."""

import json
import re

from hoshikage.templates.go import floats
from hoshikage.templates.go.values import Named, Record, well_formed

ESCAPED = re.compile("[<>&\u2028\u2029]")


def encode(value: object) -> str:
    """The JSON text. Raises ValueError for what JSON cannot hold."""
    if isinstance(value, Record | Named):
        return encode(value.json)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        return floats.json(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(str(key))}:{encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(encode, value)) + "]"
    return json.dumps(value)


def _string(text: str) -> str:
    return ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(well_formed(text), ensure_ascii=False))
