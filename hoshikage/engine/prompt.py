"""From a command to generate to its tokens: the prompt's text tokenized, its images where their marks stand."""

import re
from typing import TYPE_CHECKING

from hoshikage.engine.llama.model import Model
from hoshikage.engine.loop import Request
from hoshikage.engine.pictures import laid_out
from hoshikage.engine.tokens import check_known, tokens_of
from hoshikage.engine.wire import Generate
from hoshikage.errors import RequestError, Unsupported

if TYPE_CHECKING:
    from hoshikage.engine.llama.media import Projector


def request_of(command: Generate, model: Model, projector: "Projector | None") -> Request:
    """Raises RequestError, Unsupported or SequenceFailed for what cannot be evaluated."""
    parts = split(command)
    if len(parts) == 1:
        return Request(command, tokens_of(command, model))
    check_known(command.context, model, "context: ")
    if projector is None or not projector.traits.sees:
        raise Unsupported(model=model.name, capability="images: it was loaded without a projector for them")
    if not projector.traits.plain:
        reason = "images for this model need positions in two dimensions (M-RoPE), which are not supported yet"
        raise RequestError(reason=f"{reason}; ask it without images, or use a model as Gemma 3 or LLaVA")
    found = projector.tokenize(parts, add_special=not command.context)
    tokens, pictures = laid_out(found, command.context, whole=not projector.traits.causal)
    return Request(command, tokens, pictures=pictures)


def split(command: Generate) -> list[str | bytes]:
    """The prompt's texts, with the images between them that their marks number."""
    if not command.images:
        return [command.prompt]
    parts = re.split(re.escape(command.mark) + r"(\d+)\]", command.prompt)
    return [command.images[int(part)] if index % 2 else part for index, part in enumerate(parts)]
