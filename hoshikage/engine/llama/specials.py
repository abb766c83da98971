"""Which special tokens a vocabulary puts before, between and after texts, and into their middle. Knows no texts."""

from dataclasses import dataclass
from typing import NamedTuple

from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.model import Model

NO_TOKEN = -1


@dataclass(frozen=True, slots=True)
class Specials:
    """Token ids; BERT: `before` [CLS], `between` and `after` [SEP]. Any of them may be empty."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]


class Infill(NamedTuple):
    """Token ids that stand before the text in front of a gap, before the text behind it, and before what fills it."""

    prefix: int
    suffix: int
    middle: int


def infill(model: Model) -> Infill | None:
    """None where the vocabulary has not all three."""
    vocab = model.vocab
    found = Infill(C.llama_vocab_fim_pre(vocab), C.llama_vocab_fim_suf(vocab), C.llama_vocab_fim_mid(vocab))
    return None if NO_TOKEN in found else found


def specials(model: Model) -> Specials:
    """By the vocabulary's own flags.

    A pair of texts ends as a single one does. llama-server leaves that last [SEP] of BERT's out, though the models
    were trained with it.
    """
    vocab = model.vocab
    bos = flagged(C.llama_vocab_get_add_bos(vocab), C.llama_vocab_bos(vocab))
    eos = flagged(C.llama_vocab_get_add_eos(vocab), C.llama_vocab_eos(vocab))
    sep = flagged(C.llama_vocab_get_add_sep(vocab), C.llama_vocab_sep(vocab))
    return Specials(before=bos, between=eos + sep, after=eos or sep)


def flagged(flag: bool, token: int) -> tuple[int, ...]:
    return (token,) if flag and token != NO_TOKEN else ()
