"""What a grammar must know of a model's vocabulary: the bytes of each token, which are control tokens, which end."""

from typing import NamedTuple

from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.model import Model

NO_TEXT = C.LLAMA_TOKEN_ATTR_CONTROL | C.LLAMA_TOKEN_ATTR_UNKNOWN | C.LLAMA_TOKEN_ATTR_UNUSED


class Pieces(NamedTuple):
    """`texts` by token id; `control` holds those that stand for no text, `ends` those that end the generation."""

    texts: list[bytes]
    control: frozenset[int]
    ends: tuple[int, ...]


def pieces(model: Model) -> Pieces:
    """Read the whole vocabulary: some 0.1 s for 49k tokens."""
    ids = range(model.n_vocab)
    texts = [model.piece(token, special=True) for token in ids]
    control = frozenset(token for token in ids if C.llama_vocab_get_attr(model.vocab, token) & NO_TEXT)
    return Pieces(texts, control, tuple(model.ending))
