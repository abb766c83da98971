"""Go's quoted strings and characters, both ways (strconv). Knows no template."""

import re

SHORT = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
ESCAPED = {escape[1]: character for character, escape in SHORT.items()}
ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)


def quote(text: str, mark: str = '"', *, ascii_only: bool = False) -> str:
    """`text` as Go's %q writes it; `text` may hold stray bytes as surrogate escapes."""
    return mark + "".join(_escaped(character, mark, ascii_only) for character in text) + mark


def unquote(source: str) -> str:
    """The string that a quoted or raw literal stands for. Raises ValueError("invalid syntax")."""
    mark, inner = source[0], source[1:-1]
    if mark == "`":
        return inner.replace("\r", "")
    if "\n" in inner:
        raise ValueError("invalid syntax")
    data = bytearray()
    end = 0
    for found in ESCAPE.finditer(inner):
        data += inner[end : found.start()].encode() + _unescaped(found[0][1:], mark)
        end = found.end()
    data += inner[end:].encode()
    return data.decode(errors="surrogateescape")


def unicode_name(character: str) -> str:
    """As Go's %#U: `U+003D '='`."""
    shown = f" '{character}'" if character.isprintable() else ""
    return f"U+{ord(character):04X}{shown}"


def _escaped(character: str, mark: str, ascii_only: bool) -> str:
    code = ord(character)
    if character in SHORT or character == mark:
        return SHORT.get(character, "\\" + mark)
    if character.isprintable() and (code < 0x7F or not ascii_only):
        return character
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescaped(escape: str, mark: str) -> bytes:
    if escape[0] in "xuU" and len(escape) > 1:
        code = int(escape[1:], 16)
        return bytes([code]) if escape[0] == "x" else _encoded(code)
    if len(escape) == 3 and int(escape, 8) < 256:
        return bytes([int(escape, 8)])
    if escape in ESCAPED or escape == mark:
        return ESCAPED.get(escape, mark).encode()
    raise ValueError("invalid syntax")


def _encoded(code: int) -> bytes:
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError("invalid syntax")
    return chr(code).encode()
