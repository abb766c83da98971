"""Answers about tokens, given by the reader thread at once: no step waits for them and they wait for no step."""

from collections.abc import Iterable

from hoshikage.engine.llama.model import Model
from hoshikage.engine.wire_tokens import Count, Counted, Detokenize, Detokenized, Tokenize, Tokenized
from hoshikage.errors import RequestError


def answer(command: Count | Tokenize | Detokenize, model: Model) -> Counted | Tokenized | Detokenized:
    """Raises RequestError for ids outside the vocabulary, SequenceFailed for a text llama.cpp cannot tokenize."""
    if isinstance(command, Detokenize):
        return Detokenized(command.id, tuple(_text(ids, command.special, model) for ids in command.tokens))
    add, parse = command.add_special, command.parse_special
    found = (model.tokenize(text, add_special=add, parse_special=parse) for text in command.texts)
    if isinstance(command, Count):
        return Counted(command.id, tuple(len(tokens) for tokens in found))
    return Tokenized(command.id, tuple(tuple(tokens) for tokens in found))


def check_known(tokens: Iterable[int], model: Model) -> None:
    """Raises RequestError naming the first id outside the vocabulary."""
    if foreign := [token for token in tokens if not 0 <= token < model.n_vocab]:
        raise RequestError(reason=f"token {foreign[0]} is not one of the vocabulary, which ends at {model.n_vocab - 1}")


def _text(tokens: tuple[int, ...], special: bool, model: Model) -> str:
    check_known(tokens, model)
    return model.detokenize(tokens, special=special)
