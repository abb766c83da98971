"""Projector: the file that makes an image into rows that a text model takes in where tokens stand, through mtmd.

Images are decoded and scaled by tokenize(), from any thread; encode() is for one thread at a time.
"""

import contextlib
import ctypes
import hashlib
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hoshikage.engine import pictures
from hoshikage.engine.llama.batch import Rows
from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.computing import FLASH
from hoshikage.engine.llama.library import last_errors, on_log
from hoshikage.engine.llama.model import Model
from hoshikage.errors import LoadFailed, RequestError, SequenceFailed

import llama_cpp.mtmd_cpp as M  # isort: skip  after the binding, which keeps the package's own start out

NO_MEDIA = ctypes.c_void_p(0)


class Piece:
    """One image, or a slice of one: `length` positions. `id` is the hexadecimal sha256 of the image's file."""

    def __init__(self, chunk: object) -> None:
        self.handle = M.mtmd_input_chunk_copy(chunk)
        self.id: str = M.mtmd_input_chunk_get_id(chunk).decode()
        self.length = int(M.mtmd_input_chunk_get_n_tokens(chunk))
        self.close = weakref.finalize(self, M.mtmd_input_chunk_free, self.handle)


@dataclass(frozen=True, slots=True)
class Traits:
    """`causal`: a position of an image sees only what is before it. `plain`: its positions count up like a text's."""

    causal: bool
    plain: bool


class Projector:
    """The projector at `path` for `model`. Raises LoadFailed with its name and mtmd's own words."""

    def __init__(self, path: Path, model: Model, *, threads: int, flash: str, gpu: bool) -> None:
        M.mtmd_helper_log_set(on_log, NO_MEDIA)
        last_errors.clear()
        params = M.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.flash_attn_type = gpu, threads, FLASH[flash]
        params.warmup = params.print_timings = False
        self.handle = M.mtmd_init_from_file(str(path).encode(), model.handle, params)
        if not self.handle:
            raise LoadFailed(reason=f"projector {path}: {'; '.join(last_errors[:3]) or 'mtmd gave no reason'}")
        if not M.mtmd_support_vision(self.handle):
            self.close()
            raise LoadFailed(reason=f"projector {path}: it takes no images; leave it out of the model")
        causal = not M.mtmd_decode_use_non_causal(self.handle, None)
        self.traits = Traits(causal=causal, plain=not M.mtmd_decode_use_mrope(self.handle))
        self._model = model
        self._width = int(C.llama_model_n_embd_inp(model.handle))

    def close(self) -> None:
        if self.handle:
            M.mtmd_free(self.handle)
            self.handle = None

    def tokenize(self, parts: Sequence[str | bytes], *, add_special: bool) -> list[list[int] | Piece]:
        """Texts into tokens and images into pieces, with what the model wants around them.

        Raises RequestError for an image that cannot be decoded.
        """
        with contextlib.ExitStack() as held:
            given = [each for part in parts if part for each in self._part(part, held)]
            pointers = (ctypes.POINTER(M.mtmd_input_part) * len(given))(*map(ctypes.pointer, given))
            chunks = M.mtmd_input_chunks_init()
            held.callback(M.mtmd_input_chunks_free, chunks)
            last_errors.clear()
            if M.mtmd_tokenize_from_parts(self.handle, chunks, pointers, len(given), self._special(parts, add_special)):
                raise RequestError(reason=f"an image cannot be prepared: {'; '.join(last_errors[:3])}")
            count = M.mtmd_input_chunks_size(chunks)
            return [_read(M.mtmd_input_chunks_get(chunks, index)) for index in range(count)]

    def encode(self, piece: pictures.Piece) -> Rows:
        """What the text model takes in at the piece's positions. Raises SequenceFailed."""
        assert isinstance(piece, Piece)  # noqa: S101  tokenize() made it
        if M.mtmd_encode_chunk(self.handle, piece.handle):
            raise SequenceFailed(reason="the projector could not encode the image")
        values = (ctypes.c_float * (piece.length * self._width))()
        ctypes.memmove(values, M.mtmd_get_output_embd(self.handle), ctypes.sizeof(values))
        return Rows(values, self._width)

    def _special(self, parts: Sequence[str | bytes], add_special: bool) -> bool:
        """As Model.tokenize: a second BOS is never put in front."""
        bos, first = self._model.bos, parts[0]
        return add_special and not (bos and isinstance(first, str) and first.startswith(bos))

    def _part(self, part: str | bytes, held: contextlib.ExitStack) -> Iterator[M.mtmd_input_part]:
        if isinstance(part, bytes):
            yield M.mtmd_input_part(None, self._bitmap(part, held))
            return
        data = part.encode("utf-8", "replace")
        yield M.mtmd_input_part(ctypes.pointer(M.mtmd_input_text(data, len(data), False, True)), None)

    def _bitmap(self, image: bytes, held: contextlib.ExitStack) -> object:
        buffer = (ctypes.c_uint8 * len(image)).from_buffer_copy(image)
        bitmap = M.mtmd_helper_bitmap_init_from_buf(self.handle, buffer, len(image), False)
        if not bitmap:
            raise RequestError(reason=f"an image of {len(image)} bytes cannot be decoded; send it as PNG or JPEG")
        held.callback(M.mtmd_bitmap_free, bitmap)
        M.mtmd_bitmap_set_id(bitmap, hashlib.sha256(image).hexdigest().encode())
        return bitmap


def _read(chunk: object) -> list[int] | Piece:
    if M.mtmd_input_chunk_get_type(chunk) != M.MTMD_INPUT_CHUNK_TYPE_TEXT:
        return Piece(chunk)
    count = ctypes.c_size_t()
    tokens = M.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
    return list(tokens[: count.value])
