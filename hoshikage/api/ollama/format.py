"""Ollama's `format` -> a constraint (contract §5.4)."""

import json

from hoshikage.api.errors import StreamFault
from hoshikage.api.http import schema_text
from hoshikage.constraints import Constraint

SHOWN = 200
"""Characters of a wrong `format` that its error repeats."""


def constraint_of(format_: object) -> Constraint | None:
    """None for an absent, null or empty `format`. Raises StreamFault (500, as Ollama does) for what is no format."""
    if format_ is None or format_ == "":
        return None
    if format_ == "json":
        return Constraint(kind="json", field="format")
    if isinstance(format_, dict):
        return Constraint(kind="json_schema", source=schema_text(format_, "format"), field="format")
    raw = json.dumps(format_, ensure_ascii=False, separators=(",", ":"))
    shown = json.dumps(raw[:SHOWN], ensure_ascii=False)
    raise StreamFault(500, f'invalid format: {shown}; expected "json" or a valid JSON Schema object')
