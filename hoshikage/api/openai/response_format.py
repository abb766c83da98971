"""OpenAI's `response_format` -> a constraint (contract §5.3)."""

from collections.abc import Mapping

from hoshikage.api.errors import OpenAIFault
from hoshikage.api.http import schema_text
from hoshikage.constraints import Constraint

FIELD = "response_format"
SCHEMA = f"{FIELD}.json_schema"


def constraint_of(given: object) -> Constraint | None:
    """None for plain text. Raises OpenAIFault naming the field."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise OpenAIFault(f"{FIELD} must be an object", param=FIELD, code="invalid_type")
    match given.get("type", "text"):
        case "text":
            return None
        case "json_object":
            return _schema(given.get("schema"), f"{FIELD}.schema", strict=False)
        case "json_schema":
            return _json_schema(given.get("json_schema"))
    text = f"{FIELD}.type must be text, json_object or json_schema"
    raise OpenAIFault(text, param=f"{FIELD}.type", code="invalid_value")


def _json_schema(given: object) -> Constraint:
    if given is None:
        raise OpenAIFault(f"{SCHEMA} is missing", param=SCHEMA, code="missing_required_parameter")
    if not isinstance(given, Mapping):
        raise OpenAIFault(f"{SCHEMA} must be an object", param=SCHEMA, code="invalid_type")
    return _schema(given.get("schema"), f"{SCHEMA}.schema", strict=given.get("strict") is True)


def _schema(schema: object, field: str, *, strict: bool) -> Constraint:
    """Any object where no schema is given."""
    if schema is None:
        return Constraint(kind="json", field=FIELD)
    return Constraint(kind="json_schema", source=schema_text(schema, field), strict=strict, field=field)
