"""A model's facts as Ollama's client prints them: titled sections of columns. Pure; texts are made harmless."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from hoshikage.cli.human import printable, table, width
from hoshikage.models import go
from hoshikage.models.gguf import Array, human_count
from hoshikage.models.show import Shown

Row = tuple[str, ...]
SOME_LINES = 2
ARRAY_COLUMNS = 10
"""How much of an array is printed, with its first bracket and commas."""


def sections(shown: Shown, *, verbose: bool) -> str:
    """All sections that have rows; each ends with an empty line."""
    return "".join(f"  {title}\n{indented(rows)}\n" for title, rows in parts(shown, verbose=verbose) if rows)


def parts(shown: Shown, *, verbose: bool) -> Iterator[tuple[str, list[Row]]]:
    yield "Model", list(model(shown))
    yield "Capabilities", [(each,) for each in shown.capabilities or ()]
    if shown.projector_info:
        yield "Projector", list(projector(shown.projector_info))
    yield "Parameters", [tuple(line.split(maxsplit=1)) for line in (shown.parameters or "").splitlines()]
    if verbose:
        yield "Metadata", [(key, valued(value)) for key, value in shown.model_info.items()]
        yield "Tensors", [(each.name, each.type, spaced(each.shape)) for each in shown.tensors or ()]
    yield "System", some(shown.system or "")
    yield "License", some(shown.license or "")


def indented(rows: list[Row]) -> str:
    first, *rest = [("", *map(printable, row)) for row in rows]
    return table(first, rest)


def model(shown: Shown) -> Iterator[Row]:
    info, facts = shown.model_info, shown.details
    architecture = str(info.get("general.architecture", facts.family))
    yield "architecture", architecture
    yield "parameters", facts.parameter_size or number(info, "general.parameter_count")
    yield from lengths(info, architecture, ("context length", "embedding length"))
    yield "quantization", facts.quantization_level
    if shown.requires:
        yield "requires", shown.requires


def projector(info: Mapping[str, object]) -> Iterator[Row]:
    architecture = str(info.get("general.architecture", ""))
    yield "architecture", architecture
    yield "parameters", number(info, "general.parameter_count")
    if f"{architecture}.vision.embedding_length" in info:
        yield "embedding length", str(info[f"{architecture}.vision.embedding_length"])
    if f"{architecture}.vision.projection_dim" in info:
        yield "dimensions", str(info[f"{architecture}.vision.projection_dim"])


def lengths(info: Mapping[str, object], architecture: str, titles: Iterable[str]) -> Iterator[Row]:
    for title in titles:
        value = info.get(f"{architecture}.{title.replace(' ', '_')}")
        if isinstance(value, int):
            yield title, str(value)


def number(info: Mapping[str, object], key: str) -> str:
    value = info.get(key)
    return human_count(value) if isinstance(value, int) else ""


def valued(value: object) -> str:
    """A value of the metadata in Go's words; of an array what fits into a column."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return go.number(value)
    if isinstance(value, Array):
        return f"[...+{value.length} more]"
    return listed(value) if isinstance(value, list | tuple) else str(value)


def listed(values: list[object] | tuple[object, ...]) -> str:
    """At least the first, and as many more as the columns hold."""
    items = [valued(value) for value in islice(values, ARRAY_COLUMNS)]
    count = len(items)
    while count > 1 and width(", ".join(items[:count])) >= ARRAY_COLUMNS:
        count -= 1
    rest = len(values) - count
    return f"[{' '.join(items[:count])}{f' ...+{rest} more' if rest else ''}]"


def spaced(shape: tuple[int, ...]) -> str:
    return f"[{' '.join(map(str, shape))}]"


def some(text: str) -> list[Row]:
    """Its first lines that are not empty, and dots for the others."""
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    more = [("...",)] if len(lines) > SOME_LINES else []
    return [*((line,) for line in lines[:SOME_LINES]), *more]
