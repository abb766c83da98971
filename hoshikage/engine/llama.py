"""The only importer of llama_cpp: Model, Context and Batch as owners with close(); C codes become errors.

Knows tokens, positions and sequence ids; knows no requests.
"""

import ctypes
import logging
from pathlib import Path

import llama_cpp.llama_cpp as C

from hoshikage.errors import LoadFailed, SequenceFailed

log = logging.getLogger("hoshikage.llama")

LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.ERROR}
NO_SLOT = 1
last_errors: list[str] = []


@C.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _user: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    if line:
        log.log(LEVELS.get(level, logging.DEBUG), "%s", line)
    if level == 4 and line:
        last_errors.append(line)


def start() -> None:
    """Once a process, before anything else here."""
    C.llama_log_set(_on_log, ctypes.c_void_p(0))
    C.llama_backend_init()


def supports_gpu() -> bool:
    """Whether this build of llama.cpp can use a GPU."""
    return bool(C.llama_supports_gpu_offload())


class Model:
    """The weights and the vocabulary of one GGUF file. Raises LoadFailed with llama.cpp's own words."""

    def __init__(self, path: Path, *, n_gpu_layers: int, use_mmap: bool) -> None:
        params = C.llama_model_default_params()
        params.n_gpu_layers = n_gpu_layers
        if not use_mmap:
            params.load_mode = C.LLAMA_LOAD_MODE_NONE
        last_errors.clear()
        self.handle = C.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise LoadFailed(reason="; ".join(last_errors[:3]) or "llama.cpp gave no reason")
        self.vocab = C.llama_model_get_vocab(self.handle)
        self.n_vocab: int = C.llama_vocab_n_tokens(self.vocab)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    def close(self) -> None:
        if self.handle:
            C.llama_model_free(self.handle)
            self.handle = None

    @property
    def trained(self) -> int:
        """The context length the model was trained for, in tokens."""
        return int(C.llama_model_n_ctx_train(self.handle))

    @property
    def size(self) -> int:
        """The weights' bytes."""
        return int(C.llama_model_size(self.handle))

    @property
    def keeps_state(self) -> bool:
        """Whether it has recurrent layers, whose state cannot be cut back to a shorter prefix."""
        return bool(C.llama_model_is_recurrent(self.handle) or C.llama_model_is_hybrid(self.handle))

    @property
    def window(self) -> int:
        """The sliding window of its attention in tokens, 0 if it sees everything."""
        return int(C.llama_model_n_swa(self.handle))

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        """Token ids of `text`, in which special tokens are recognised; a second BOS is never put in front."""
        data = text.encode("utf-8", "replace")
        special = add_special and not (self.bos and text.startswith(self.bos))
        capacity = len(data) + 8
        tokens = (ctypes.c_int32 * capacity)()
        count = C.llama_tokenize(self.vocab, data, len(data), tokens, capacity, special, True)
        if count < 0:
            raise SequenceFailed(reason=f"the prompt of {len(data)} bytes could not be tokenized")
        return list(tokens[:count])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token; those of control tokens only if `special`."""
        known = None if special else self._pieces.get(token)
        if known is not None:
            return known
        buffer = ctypes.create_string_buffer(512)
        size = C.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = C.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        data = buffer.raw[:size]
        if not special:
            self._pieces[token] = data
        return data

    def ends(self, token: int) -> bool:
        """Whether the token ends the generation."""
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(C.llama_vocab_is_eog(self.vocab, token))
        return known

    @property
    def bos(self) -> str:
        return self._special(C.llama_vocab_bos(self.vocab))

    @property
    def eos(self) -> str:
        return self._special(C.llama_vocab_eos(self.vocab))

    def _special(self, token: int) -> str:
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""


class Batch:
    """Room for `size` tokens, each of one sequence; filled by add() and add_many(), emptied by clear()."""

    def __init__(self, size: int) -> None:
        self._tokens = (ctypes.c_int32 * size)()
        self._positions = (ctypes.c_int32 * size)()
        self._counts = (ctypes.c_int32 * size)(*([1] * size))
        self._slots = (ctypes.c_int32 * size)()
        self._outputs = (ctypes.c_int8 * size)()
        pointer = ctypes.POINTER(ctypes.c_int32)
        base, step = ctypes.addressof(self._slots), ctypes.sizeof(ctypes.c_int32)
        self._slot_pointers = (pointer * size)(*(ctypes.cast(base + i * step, pointer) for i in range(size)))
        self.struct = C.llama_batch(
            n_tokens=0,
            token=self._tokens,
            embd=None,
            pos=self._positions,
            n_seq_id=self._counts,
            seq_id=self._slot_pointers,
            logits=self._outputs,
        )
        self.length = 0

    def clear(self) -> None:
        self.length = self.struct.n_tokens = 0

    def add(self, token: int, position: int, slot: int) -> int:
        """One token whose logits are wanted. Returns its row in the batch."""
        row = self.length
        self._tokens[row], self._positions[row], self._slots[row], self._outputs[row] = token, position, slot, 1
        self.length = self.struct.n_tokens = row + 1
        return row

    def add_many(self, tokens: list[int], position: int, slot: int, *, output: bool) -> int:
        """Tokens from `position` on; with `output`, the logits of the last are wanted. Returns the last one's row."""
        start, count = self.length, len(tokens)
        end = start + count
        self._tokens[start:end] = [*tokens]
        self._positions[start:end] = [*range(position, position + count)]
        self._slots[start:end] = [slot] * count
        self._outputs[start:end] = [0] * count
        self._outputs[end - 1] = output
        self.length = self.struct.n_tokens = end
        return end - 1


class Context:
    """The KV cache and the decode of one model. `slots` sequence ids share `cells` tokens of one unified cache.

    It is the scheduler's `Memory`. Raises LoadFailed if the memory cannot be had.
    """

    def __init__(self, model: Model, *, cells: int, batch: int, slots: int, threads: int) -> None:
        params = C.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = cells, batch, min(batch, 512)
        params.n_seq_max, params.kv_unified = slots, True
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        last_errors.clear()
        self._model = model
        self.handle = C.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise LoadFailed(reason="; ".join(last_errors[:3]) or f"no memory for a context of {cells} tokens")
        self._memory = C.llama_get_memory(self.handle)
        self._swa = model.window
        self._stateful = model.keeps_state

    def close(self) -> None:
        if self.handle:
            C.llama_free(self.handle)
            self.handle = None

    @property
    def cells(self) -> int:
        return int(C.llama_n_ctx(self.handle))

    def decode(self, batch: Batch) -> bool:
        """Evaluate the batch; False if the KV cache has no room for it. Raises SequenceFailed otherwise."""
        code = C.llama_decode(self.handle, batch.struct)
        if code not in {0, NO_SLOT}:
            raise SequenceFailed(reason=f"llama_decode returned {code}")
        return bool(code == 0)

    def cut(self, slot: int, keep: int) -> int:
        """Keep the first `keep` tokens of a sequence; keeps none where that prefix would be wrong."""
        kept = keep if self._holds(slot, keep) else 0
        C.llama_memory_seq_rm(self._memory, slot, kept if kept else -1, -1)
        return kept

    def copy(self, source: int, slot: int, length: int) -> int:
        """Share the first `length` tokens of `source` with the empty `slot`."""
        if not self._holds(source, length):
            return 0
        C.llama_memory_seq_cp(self._memory, source, slot, 0, length)
        return length

    def _holds(self, slot: int, keep: int) -> bool:
        """Whether the cache has all that the first `keep` tokens need.

        The return values of seq_rm and decode do not tell it for sliding windows and recurrent states.
        """
        if keep <= 0 or self._stateful:
            return keep > 0 and keep == C.llama_memory_seq_pos_max(self._memory, slot) + 1
        if not self._swa:
            return True
        return bool(0 <= C.llama_memory_seq_pos_min(self._memory, slot) <= max(0, keep - self._swa))


class Chain:
    """Owns a sampler chain made of `links`, and is their owner too."""

    def __init__(self, links: list[object]) -> None:
        params = C.llama_sampler_chain_default_params()
        params.no_perf = True
        self.handle = C.llama_sampler_chain_init(params)
        for link in links:
            C.llama_sampler_chain_add(self.handle, link)

    def sample(self, context: Context, row: int) -> int:
        """Draw a token from the logits of batch row `row`, and remember it for the penalties."""
        token: int = C.llama_sampler_sample(self.handle, context.handle, row)
        return token

    def accept(self, tokens: list[int]) -> None:
        """Let the penalties see tokens that were not sampled here: the prompt."""
        for token in tokens:
            C.llama_sampler_accept(self.handle, token)

    def close(self) -> None:
        if self.handle:
            C.llama_sampler_free(self.handle)
            self.handle = None


def penalties_link(n_vocab: int, last_n: int, repeat: float, frequency: float, presence: float) -> object:
    return C.llama_sampler_init_penalties(n_vocab, last_n, repeat, frequency, presence)


def top_k_link(k: int) -> object:
    return C.llama_sampler_init_top_k(k)


def typical_link(p: float) -> object:
    return C.llama_sampler_init_typical(p, 1)


def top_p_link(p: float) -> object:
    return C.llama_sampler_init_top_p(p, 1)


def min_p_link(p: float) -> object:
    return C.llama_sampler_init_min_p(p, 1)


def temperature_link(temperature: float) -> object:
    return C.llama_sampler_init_temp(temperature)


def draw_link(seed: int) -> object:
    return C.llama_sampler_init_dist(seed)


def greedy_link() -> object:
    return C.llama_sampler_init_greedy()
