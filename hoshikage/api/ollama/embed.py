"""POST /api/embed and the older /api/embeddings."""

import asyncio
import time
from typing import Any

from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response

from hoshikage.api.errors import ASKED_MODEL, OllamaFault
from hoshikage.api.http import WARNING, json_reply, owner_of, services, until_disconnect
from hoshikage.api.ollama.decode import read
from hoshikage.api.ollama.floats import float32s
from hoshikage.api.ollama.options import ignored, options_of
from hoshikage.api.ollama.wire_embed import EmbeddingRequest, EmbedRequest, texts_of
from hoshikage.embedding import Embedded
from hoshikage.embedding import EmbeddingRequest as Wanted
from hoshikage.embedding import embed as vectors_of
from hoshikage.errors import InputTooLong, ModelNotFound, RequestError
from hoshikage.models.entry import Entry

NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
"""What Ollama's engine says of a model that was not made for them; here it gives them, unless OLLAMA_STRICT is set."""
TOO_LONG = "the input length exceeds the context length"


async def embed(request: Request) -> Response:
    """A vector of length 1 for each input; without any, load the model."""
    started = time.perf_counter_ns()
    asked = await read(request, EmbedRequest)
    seconds = asked.keep_alive_seconds
    if not asked.model.strip():
        raise OllamaFault(404, f"model '{asked.model}' not found")
    texts = texts_of(asked)
    entry = found(request, asked.model)
    wanted = Wanted(
        inputs=texts,
        owner=owner_of(request),
        options=options_of(asked.options),
        keep_alive=seconds,
        truncate=asked.truncate,
        dimensions=asked.dimensions,
    )
    try:
        made = await until_disconnect(request, embedded(request, entry, wanted, refused=501))
    except InputTooLong as error:
        raise OllamaFault(400, TOO_LONG) from error
    vectors = await asyncio.to_thread(lambda: [Raw(float32s(each)) for each in made.vectors])
    metrics = {
        "total_duration": time.perf_counter_ns() - started,
        "load_duration": made.load_ns,
        "prompt_eval_count": made.tokens,
    }
    counts = metrics if texts else {}
    reply = {"model": asked.model, "embeddings": vectors, **{name: each for name, each in counts.items() if each}}
    return json_reply(reply, headers=warnings(made, asked.options))


async def embeddings(request: Request) -> Response:
    """One vector, in float64 as older clients got it, and without cutting; what goes wrong is 500, as in Ollama."""
    asked = await read(request, EmbeddingRequest)
    seconds = asked.keep_alive_seconds
    if not asked.model.strip():
        raise OllamaFault(400, "model is required")
    entry = found(request, asked.model)
    wanted = Wanted(
        inputs=(asked.prompt,) if asked.prompt else (),
        owner=owner_of(request),
        options=options_of(asked.options),
        keep_alive=seconds,
        truncate=False,
    )
    try:
        made = await until_disconnect(request, embedded(request, entry, wanted, refused=500))
    except RequestError as error:
        raise OllamaFault(500, str(error)) from error
    vector = list(made.vectors[0]) if made.vectors else []
    return json_reply({"embedding": vector}, headers=warnings(made, asked.options))


async def embedded(request: Request, entry: Entry, wanted: Wanted, *, refused: int) -> Embedded:
    """The vectors. Strictly as Ollama, a model that was not made for them is loaded, and then does not give them."""
    backend = services(request).backend
    strict = backend.settings.strict and bool(wanted.inputs) and "embedding" not in entry.capabilities
    if not strict:
        return await vectors_of(backend, entry, wanted)
    await vectors_of(backend, entry, Wanted(inputs=(), owner=wanted.owner, options=wanted.options))
    raise OllamaFault(refused, NO_EMBEDDINGS)


def found(request: Request, name: str) -> Entry:
    """Raises OllamaFault in the words of these two routes, and what `registry.run` raises."""
    setattr(request.state, ASKED_MODEL, name)
    try:
        return services(request).registry.run(name)
    except ModelNotFound as error:
        raise OllamaFault(404, f'model "{name}" not found, try pulling it first') from error


def warnings(made: Embedded, options: dict[str, Any]) -> dict[str, str]:
    """What was not done as it was asked for, in one header."""
    cut = (f"inputs-cut={made.cut}",) if made.cut else ()
    said = (*ignored(options), *made.warnings, *cut)
    return {WARNING: ", ".join(said)} if said else {}
