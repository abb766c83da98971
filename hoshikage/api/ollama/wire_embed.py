"""Ollama's requests for embeddings as structs."""

from typing import Annotated, Any

from msgspec import Struct, field

from hoshikage.api.errors import OllamaFault
from hoshikage.api.ollama.decode import GoMap
from hoshikage.durations import keep_alive_seconds


class Embedding(Struct, kw_only=True):
    """What both routes have; `prompt` is the older name of `input`, which some clients send to the newer route."""

    model: str = ""
    prompt: str = ""
    keep_alive: Any = None
    options: Annotated[dict[str, Any], GoMap] = field(default_factory=dict)

    @property
    def keep_alive_seconds(self) -> float | None:
        """None where nothing was asked. Raises OllamaFault with Go's text."""
        try:
            return None if self.keep_alive is None else keep_alive_seconds(self.keep_alive)
        except ValueError as error:
            raise OllamaFault(400, str(error)) from error


class EmbeddingRequest(Embedding, kw_only=True):
    pass


class EmbedRequest(Embedding, kw_only=True):
    input: Any = None
    truncate: bool = True
    dimensions: int = 0


def texts_of(asked: EmbedRequest) -> tuple[str, ...]:
    """The inputs; none asks to load the model. Raises OllamaFault for what is neither a text nor a list of them."""
    given = asked.prompt if asked.input is None else asked.input
    texts = given if isinstance(given, list) else [given]
    if not all(isinstance(each, str) for each in texts):
        raise OllamaFault(400, "invalid input type")
    return () if given == "" else tuple(texts)
