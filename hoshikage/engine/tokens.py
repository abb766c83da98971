"""Texts and their tokens, in the reader thread: no step waits for that and it waits for no step."""

from collections.abc import Iterable

from hoshikage.engine.llama.model import Model
from hoshikage.engine.llama.specials import infill, specials
from hoshikage.engine.wire import Generate
from hoshikage.engine.wire_tokens import Count, Counted, Detokenize, Detokenized, Tokenize, Tokenized
from hoshikage.errors import RequestError, Unsupported


def answer(command: Count | Tokenize | Detokenize, model: Model) -> Counted | Tokenized | Detokenized:
    """Raises RequestError for ids outside the vocabulary, SequenceFailed for a text llama.cpp cannot tokenize."""
    if isinstance(command, Detokenize):
        return Detokenized(command.id, tuple(_text(ids, command.special, model) for ids in command.tokens))
    add, parse = command.add_special, command.parse_special
    found = (model.tokenize(text, add_special=add, parse_special=parse) for text in command.texts)
    if isinstance(command, Count):
        return Counted(command.id, tuple(len(tokens) for tokens in found))
    return Tokenized(command.id, tuple(tuple(tokens) for tokens in found))


def tokens_of(command: Generate, model: Model) -> list[int]:
    """What is evaluated for a command. Raises RequestError, SequenceFailed or Unsupported."""
    check_known(command.context, model, "context: ")
    if command.suffix:
        before = () if command.context else specials(model).before
        return [*command.context, *before, *between(command.prompt, command.suffix, model)]
    return [*command.context, *model.tokenize(command.prompt, add_special=not command.context)]


def between(prompt: str, suffix: str, model: Model) -> list[int]:
    """A prompt to fill in the middle, in the order that models are trained on: prefix, suffix, middle.

    What looks like a special token in the texts is none. Raises Unsupported where the vocabulary has no such tokens.
    """
    marks = infill(model)
    if marks is None:
        raise Unsupported(model=model.name, capability="insert")
    before, after = (model.tokenize(text, add_special=False, parse_special=False) for text in (prompt, suffix))
    return [marks.prefix, *before, marks.suffix, *after, marks.middle]


def check_known(tokens: Iterable[int], model: Model, where: str = "") -> None:
    """Raises RequestError naming the first id outside the vocabulary."""
    if foreign := [token for token in tokens if not 0 <= token < model.n_vocab]:
        last = model.n_vocab - 1
        raise RequestError(reason=f"{where}token {foreign[0]} is not one of the vocabulary, which ends at {last}")


def _text(tokens: tuple[int, ...], special: bool, model: Model) -> str:
    check_known(tokens, model)
    return model.detokenize(tokens, special=special)
