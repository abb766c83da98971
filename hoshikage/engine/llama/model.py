"""Model: the weights and the vocabulary of one GGUF file."""

import ctypes
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from hoshikage.engine.llama.adapters import Adapters
from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.devices import gpus
from hoshikage.engine.llama.library import forget, last_errors, last_warnings, model_buffers
from hoshikage.engine.llama.placement import Placement
from hoshikage.errors import LoadFailed, SequenceFailed
from hoshikage.kv_types import row_bytes

Progress = Callable[[float], bool]
"""Is told how much is loaded, from 0 to 1; False ends the load."""
SPLIT_BYTES = 32
"""More than llama.cpp adds to a name for the number of a part."""


class Model:
    """The weights and the vocabulary of one GGUF file, changed by `adapters`, which are LoRA files.

    Raises LoadFailed with llama.cpp's own words.
    """

    def __init__(
        self, path: Path, placement: Placement, adapters: Sequence[Path] = (), progress: Progress | None = None
    ) -> None:
        params = placement.params(gpus())
        told = C.llama_progress_callback(lambda share, _: progress is None or progress(share))
        params.progress_callback = told
        forget()
        self.handle = C.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise LoadFailed(reason="; ".join(last_errors[:3]) or "llama.cpp gave no reason")
        self.placement = placement
        self.buffers = dict(model_buffers)
        self.warnings = tuple(last_warnings)
        self.adapters = Adapters(self.handle, adapters)
        self.vocab = C.llama_model_get_vocab(self.handle)
        self.n_vocab: int = C.llama_vocab_n_tokens(self.vocab)
        self.name = path.stem
        self._path = path
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    def close(self) -> None:
        if self.handle:
            C.llama_model_free(self.handle)
            self.handle = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files its weights lie in, the one it was loaded by first."""
        count = int(self.metadata("split.count") or 1)
        if count <= 1:
            return (self._path,)
        first, size = str(self._path).encode(), len(str(self._path).encode()) + SPLIT_BYTES
        stem, part = ctypes.create_string_buffer(size), ctypes.create_string_buffer(size)
        C.llama_split_prefix(stem, size, first, 0, count)
        return tuple(
            Path(part.value.decode())
            for index in range(count)
            if C.llama_split_path(part, size, stem.value, index, count)
        )

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
    def layers(self) -> int:
        """As its header tells it, so without weights too."""
        return int(self.metadata(f"{self.metadata('general.architecture')}.block_count") or 0)

    @property
    def head_sizes(self) -> tuple[int, int]:
        """Values of a key and of a value in one head of its attention."""
        each = C.llama_model_n_embd(self.handle) // max(1, C.llama_model_n_head(self.handle))
        arch = self.metadata("general.architecture")
        key, value = (int(self.metadata(f"{arch}.attention.{kind}_length") or each) for kind in ("key", "value"))
        return key, value

    def kv_bytes(self, type_k: str, type_v: str) -> int:
        """Bytes of KV cache a token in these types; an upper bound where layers differ."""
        heads, (key, value) = int(C.llama_model_n_head_kv(self.handle)), self.head_sizes
        return self.layers * (row_bytes(type_k, heads * key) + row_bytes(type_v, heads * value))

    def metadata(self, key: str) -> str:
        """A short value of the header as text; empty if there is none."""
        buffer = ctypes.create_string_buffer(256)
        size = C.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if size >= 0 else ""

    @property
    def window(self) -> int:
        """The sliding window of its attention in tokens, 0 if it sees everything."""
        return int(C.llama_model_n_swa(self.handle))

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool = True) -> list[int]:
        """Token ids of `text`; with `parse_special`, special tokens in it are recognised.

        A second BOS is never put in front.
        """
        data = text.encode("utf-8", "replace")
        special = add_special and not (self.bos and text.startswith(self.bos))
        capacity = len(data) + 8
        tokens = (ctypes.c_int32 * capacity)()
        count = C.llama_tokenize(self.vocab, data, len(data), tokens, capacity, special, parse_special)
        if count < 0:
            raise SequenceFailed(reason=f"the prompt of {len(data)} bytes could not be tokenized")
        return list(tokens[:count])

    def detokenize(self, tokens: Sequence[int], *, special: bool) -> str:
        """The text of `tokens`, which must be of the vocabulary; that of control tokens only if `special`."""
        ids = (ctypes.c_int32 * len(tokens))(*tokens)
        size = -16 * (len(tokens) + 1)
        while size < 0:  # at most twice: the second buffer is as large as llama.cpp said
            buffer = ctypes.create_string_buffer(-size)
            size = C.llama_detokenize(self.vocab, ids, len(ids), buffer, len(buffer), False, special)
        return buffer.raw[:size].decode("utf-8", "replace")

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

    @functools.cached_property
    def ending(self) -> list[int]:
        """All tokens that end the generation."""
        return [token for token in range(self.n_vocab) if C.llama_vocab_is_eog(self.vocab, token)]

    @functools.cached_property
    def suppressed(self) -> list[int]:
        """Tokens that the model's file says are never to be drawn."""
        count = ctypes.c_int32()
        tokens = C.llama_vocab_get_suppress_tokens(self.vocab, ctypes.byref(count))
        return list(tokens[: count.value]) if tokens else []

    @property
    def bos(self) -> str:
        return self._special(C.llama_vocab_bos(self.vocab))

    @property
    def eos(self) -> str:
        return self._special(C.llama_vocab_eos(self.vocab))

    def _special(self, token: int) -> str:
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""
