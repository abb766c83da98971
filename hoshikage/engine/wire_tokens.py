"""What gateway and worker say to each other about tokens; framed by `wire.py`. Many texts go in one command."""

from msgspec import Struct


class Count(Struct, tag="count", frozen=True, kw_only=True):
    """How many tokens each text has. `add_special` counts BOS and its kin; `parse_special` takes `</s>` for one."""

    id: int
    texts: tuple[str, ...]
    add_special: bool = False
    parse_special: bool = True


class Counted(Struct, tag="counted", frozen=True):
    id: int
    counts: tuple[int, ...]


class Tokenize(Struct, tag="tokenize", frozen=True, kw_only=True):
    id: int
    texts: tuple[str, ...]
    add_special: bool = False
    parse_special: bool = True


class Tokenized(Struct, tag="tokenized", frozen=True):
    id: int
    tokens: tuple[tuple[int, ...], ...]


class Detokenize(Struct, tag="detokenize", frozen=True, kw_only=True):
    """The text of each list of ids; with `special`, that of control tokens too."""

    id: int
    tokens: tuple[tuple[int, ...], ...]
    special: bool = True


class Detokenized(Struct, tag="detokenized", frozen=True):
    """Bytes that are no UTF-8 come as U+FFFD."""

    id: int
    texts: tuple[str, ...]
