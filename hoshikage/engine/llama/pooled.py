"""Pooled: a context that gives one vector for each sequence of a call, and what a model says about pooling."""

import ctypes
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from hoshikage.engine.llama.batch import Batch
from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.library import last_errors
from hoshikage.engine.llama.model import Model
from hoshikage.errors import LoadFailed, SequenceFailed

UBATCH = 512
"""Tokens llama.cpp computes at once where it may cut a call into parts."""


class Pooling(IntEnum):
    """llama.cpp's numbers."""

    NONE = C.LLAMA_POOLING_TYPE_NONE
    MEAN = C.LLAMA_POOLING_TYPE_MEAN
    CLS = C.LLAMA_POOLING_TYPE_CLS
    LAST = C.LLAMA_POOLING_TYPE_LAST
    RANK = C.LLAMA_POOLING_TYPE_RANK


@dataclass(frozen=True, slots=True)
class Traits:
    """How a model's vectors are pooled, whether it sees only what is before a token, whether it can generate."""

    pooling: Pooling
    causal: bool
    generates: bool


def traits(model: Model) -> Traits:
    """As the header tells it: a model that names a pooling was trained for vectors, not to generate.

    One that names none gives the last token's vector, the only one that has seen the whole text. Of 24 paraphrases
    among 12 each, SmolLM2 135M finds 20 by it and 18 by the mean, Gemma 3 270M 24 and 23; the distance between right
    and wrong ones is 2.3 and 2.9 standard deviations against 1.9 and 2.0.
    """
    architecture = model.metadata("general.architecture")
    declared = model.metadata(f"{architecture}.pooling_type")
    decoder = bool(C.llama_model_has_decoder(model.handle))
    causal = decoder and model.metadata(f"{architecture}.attention.causal") != "false"
    pooling = Pooling(int(declared)) if declared.isdigit() and int(declared) in set(Pooling) else Pooling.NONE
    return Traits(pooling or (Pooling.LAST if causal else Pooling.MEAN), causal, generates=causal and not declared)


class Pooled:
    """Room for `tokens` tokens of at most `sequences` sequences a call. Raises LoadFailed if there is no memory.

    An input comes whole in one call, or in parts if it is `chunked`: where no token sees what comes after it and the
    last one's vector is the input's. With recurrent layers `sequences` is 1: each has a large state.
    """

    def __init__(self, model: Model, traits: Traits, computing: Computing, *, tokens: int, sequences: int) -> None:
        params = computing.plain.params()
        params.n_ctx = params.n_batch = tokens
        chunked = traits.causal and traits.pooling in {Pooling.LAST, Pooling.RANK}
        params.n_ubatch = self._at_once = min(tokens, UBATCH) if chunked else tokens
        self.sequences = 1 if model.keeps_state else sequences
        params.n_seq_max, params.kv_unified = self.sequences, True
        params.embeddings, params.pooling_type = True, int(traits.pooling)
        last_errors.clear()
        self.handle = C.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise LoadFailed(reason="; ".join(last_errors[:3]) or f"no memory for embeddings of {tokens} tokens")
        model.adapters.apply(self.handle)
        self._memory = C.llama_get_memory(self.handle)
        self._batch = Batch(tokens)
        rank = traits.pooling is Pooling.RANK
        self._width = int(C.llama_model_n_cls_out(model.handle) if rank else C.llama_model_n_embd_out(model.handle))
        self.tokens = tokens
        self.chunked = chunked and bool(self._memory)

    def close(self) -> None:
        if self.handle:
            C.llama_free(self.handle)
            self.handle = None

    def forget(self) -> None:
        """Empty the KV cache, if the model has one."""
        if self._memory:
            C.llama_memory_clear(self._memory, False)

    def evaluate(self, parts: Sequence[tuple[int, list[int]]]) -> list["array[float]"]:
        """The vector of each part, which is its first position and its tokens. Raises SequenceFailed."""
        self._batch.clear()
        for sequence, (position, tokens) in enumerate(parts):
            self._batch.add_many(tokens, position, sequence, outputs=len(tokens))
        if not self._memory and self._batch.length > self._at_once:
            raise SequenceFailed(reason=f"{self._batch.length} tokens are more than this encoder takes at once")
        code = C.llama_decode(self.handle, self._batch.struct)
        if code:
            raise SequenceFailed(reason=f"llama_decode returned {code}")
        return [self._vector(sequence) for sequence in range(len(parts))]

    def _vector(self, sequence: int) -> "array[float]":
        found = C.llama_get_embeddings_seq(self.handle, sequence)
        if not found:
            raise SequenceFailed(reason="llama.cpp pooled no vector")
        return array("f", ctypes.string_at(found, self._width * ctypes.sizeof(ctypes.c_float)))
