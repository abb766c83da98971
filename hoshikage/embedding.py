"""The use case of embeddings: vectors of texts, by a model made for them or another. Knows no dialect and no HTTP."""

import logging
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct, field

from hoshikage.engine.wire_pooled import Embed, Embeddings
from hoshikage.errors import EngineCrashed
from hoshikage.generation import Backend, unmet, whole
from hoshikage.models.entry import Entry

log = logging.getLogger("hoshikage.embedding")

Input = str | tuple[int, ...]


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """Texts, or token ids that are taken as they are. `keep_alive` in seconds, `dimensions` 0 = all.

    Without `truncate`, an input longer than the window is an error.
    """

    inputs: tuple[Input, ...]
    owner: str = "local"
    options: Mapping[str, object] = field(default_factory=dict)
    keep_alive: float | None = None
    truncate: bool = True
    dimensions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The vectors in the order of the inputs, how many tokens were evaluated, and how many inputs were cut."""

    vectors: "tuple[array[float], ...]"
    tokens: int
    cut: int
    load_ns: int
    warnings: tuple[str, ...]


async def embed(backend: Backend, entry: Entry, request: EmbeddingRequest) -> Embedded:
    """The vectors, once the model is loaded; without inputs it is only loaded. Being cancelled ends the work.

    Raises ModelError, RequestError, QuotaExceeded or EngineError. What crashes its worker is tried once more.
    """
    options = {**entry.parameters, **request.options}
    ceiling = whole(options, "num_ctx", 0, least=0)
    wanted = backend.load(entry, options)
    command = Embed(
        id=0, inputs=request.inputs, truncate=request.truncate, num_ctx=ceiling, dimensions=max(0, request.dimensions)
    )
    with backend.admission.enter(request.owner) as ticket:

        async def attempt() -> Embedded:
            async with backend.pool.acquire(entry.name, wanted, request.keep_alive, ceiling) as lease:
                ticket.begin()
                found = await lease.engine.embed(command) if command.inputs else NOTHING
                return _embedded(found, lease.load_ns, unmet(lease.engine, wanted, options))

        try:
            return await attempt()
        except EngineCrashed as error:
            log.warning("%s: %s; its inputs are sent again", entry.name, error)
        return await attempt()


NOTHING = Embeddings(id=0, vectors=(), tokens=(), truncated=(), eval_ns=0)


def _embedded(found: Embeddings, load_ns: int, warnings: tuple[str, ...]) -> Embedded:
    return Embedded(
        vectors=tuple(map(_vector, found.vectors)),
        tokens=sum(found.tokens),
        cut=sum(found.truncated),
        load_ns=load_ns,
        warnings=warnings,
    )


def _vector(data: bytes) -> "array[float]":
    """Of little-endian float32."""
    made = array("f", data)
    if sys.byteorder == "big":
        made.byteswap()
    return made
