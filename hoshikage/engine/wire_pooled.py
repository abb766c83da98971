"""What gateway and worker say to each other about pooled vectors and rerank scores; framed by `wire.py`."""

from msgspec import Struct


class Embed(Struct, tag="embed", frozen=True, kw_only=True):
    """One vector for each input, a text or token ids; ids are taken as they are, without special tokens put around.

    `num_ctx` 0 = the window, in tokens. `dimensions` below the model's own keeps so many and normalises again.
    """

    id: int
    inputs: tuple[str | tuple[int, ...], ...]
    truncate: bool = True
    num_ctx: int = 0
    dimensions: int = 0
    normalise: bool = True


class Embeddings(Struct, tag="embeddings", frozen=True, kw_only=True):
    """The answer to Embed, in its order: little-endian float32, tokens evaluated, whether the input was cut."""

    id: int
    vectors: tuple[bytes, ...]
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    eval_ns: int


class Rerank(Struct, tag="rerank", frozen=True, kw_only=True):
    """How well each document answers the query. With `truncate`, a document too long for the window is cut."""

    id: int
    query: str
    documents: tuple[str, ...]
    truncate: bool = True
    num_ctx: int = 0


class Scores(Struct, tag="scores", frozen=True, kw_only=True):
    """The answer to Rerank, in its order: the classifier's raw outputs, the higher the better."""

    id: int
    scores: tuple[float, ...]
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    eval_ns: int
