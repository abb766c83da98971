"""Constraint: what the text of an answer must be, and how large one may be. Knows no dialect and no grammar library.

The bounds keep hostile input away from parsers that recurse: what is over them is refused before anything reads it.
"""

import re
from typing import Literal

from msgspec import Struct

from hoshikage.errors import ConstraintRefused

Kind = Literal["json", "json_schema", "regex", "gbnf", "lark"]

SCHEMA_BYTES = 256 * 1024
"""Of a JSON schema: the arguments of some 300 tools."""
GRAMMAR_BYTES = 64 * 1024
"""Of a regular expression or a grammar."""
TRIGGER_BYTES = 256
DEPTH = 100
"""Brackets inside brackets in a JSON schema, two for each object in an object; its parser ends the request at 128."""

BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Constraint(Struct, frozen=True, kw_only=True):
    """What the text must be: any JSON object, or what `source` describes in the language `kind`.

    With a `trigger`, text is free up to and with the trigger text, and the rest must match; an answer without it is
    free. `after`, in place of a trigger, are texts around a free part that may come first, and blanks after it; where
    the first is empty, that part has begun already and must end. `strict` refuses what of a schema cannot be enforced,
    where it is otherwise left out and said so. `field` is what the request calls it.
    """

    kind: Kind
    source: str = ""
    trigger: str = ""
    after: tuple[str, str] | None = None
    strict: bool = False
    field: str = "constraint"

    def check(self) -> None:
        """Raise ConstraintRefused where it is larger or deeper than allowed."""
        most = SCHEMA_BYTES if self.kind == "json_schema" else GRAMMAR_BYTES
        if (size := len(self.source.encode("utf-8", "replace"))) > most:
            raise self.refusal(f"it has {size} bytes, {most} are allowed; describe less of the answer")
        marks = "".join((self.trigger, *(self.after or ())))
        if len(marks.encode("utf-8", "replace")) > TRIGGER_BYTES or "\0" in marks + self.source:
            raise self.refusal(f"a trigger has at most {TRIGGER_BYTES} bytes, and no text a NUL")
        if self.kind == "json_schema" and (deep := depth(self.source)) > DEPTH:
            raise self.refusal(f"it is nested {deep} deep, {DEPTH} are allowed; use $defs and $ref")

    def refusal(self, reason: str) -> ConstraintRefused:
        return ConstraintRefused(field=self.field, reason=reason)


def depth(json: str) -> int:
    """How deep the brackets of a JSON text are nested; counts without recursion."""
    deepest = now = 0
    for match in BRACKETS.finditer(json):
        if match[0] in "[{":
            now += 1
            deepest = max(deepest, now)
        elif match[0] in "]}":
            now -= 1
    return deepest
