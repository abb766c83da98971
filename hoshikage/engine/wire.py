"""What gateway and worker say to each other, and how it is framed. Both sides import it; it knows neither.

A frame is four bytes of length (little endian) and a MessagePack list of messages. The gateway sends commands, the
worker sends events; one frame of events a decode step carries the text of all sequences.
"""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from hoshikage.constraints import Constraint
from hoshikage.conversation import TokenLogprob
from hoshikage.engine.wire_pooled import Embed, Embeddings, Rerank, Scores
from hoshikage.engine.wire_tokens import Count, Counted, Detokenize, Detokenized, Tokenize, Tokenized
from hoshikage.sampling import SamplingOptions

HEADER_BYTES = 4
FRAME_BYTES_MAX = 1 << 30


class Place(Struct, frozen=True, kw_only=True):
    """A folder for snapshots with its budget in bytes; `ram` tells a RAM disk from a disk."""

    folder: str
    budget: int
    ram: bool


class Load(Struct, tag="load", frozen=True, kw_only=True):
    """The first command. Counts are in tokens, layers or threads; 0 threads = as many as there are cores for it.

    `n_ctx` is the most tokens of the KV cache, 0 = what `kv_bytes` hold; `kv_bytes` 0 = a quarter of the free memory.
    Snapshots go to the first of `places`, none = no snapshots. A step takes about `step_ms` while others stream.
    `draft_path` is a small model with the same vocabulary that guesses ahead; `adapters` are LoRA files,
    `projector` is what makes images into input.
    `n_gpu_layers` -1 = all, on `main_gpu` alone or, at -1, on all GPUs by the shares of `tensor_split`. `type_k` and
    `type_v` are those of the KV cache; `repack` lays weights out anew in memory of their own where that is faster.
    """

    path: str
    n_ctx: int
    n_batch: int
    n_threads: int
    n_gpu_layers: int
    num_parallel: int
    use_mmap: bool = True
    kv_bytes: int = 0
    places: tuple[Place, ...] = ()
    step_ms: int = 300
    speculation: bool = True
    draft_path: str = ""
    adapters: tuple[str, ...] = ()
    projector: str = ""
    n_threads_batch: int = 0
    type_k: str = "f16"
    type_v: str = "f16"
    flash: str = "auto"
    repack: bool = True
    mlock: bool = False
    main_gpu: int = -1
    tensor_split: tuple[float, ...] = ()
    split_mode: str = "layer"


class Generate(Struct, tag="generate", frozen=True, kw_only=True):
    """Continue `context` + `prompt`. `max_tokens` -1 = to the limit; `num_ctx` 0 = the window.

    With a `suffix`, what comes between it and `prompt` is generated; both are plain text then, with no special tokens.
    `logprobs` is how many alternatives to each token are reported with it; None = not even the token's own.
    `images` are whole files; number n of them stands where the prompt has `mark`, n and `]`.
    """

    id: int
    owner: str
    prompt: str
    sampling: SamplingOptions
    max_tokens: int = -1
    num_ctx: int = 0
    stop: tuple[str, ...] = ()
    context: tuple[int, ...] = ()
    return_tokens: bool = False
    constraint: Constraint | None = None
    logprobs: int | None = None
    suffix: str = ""
    images: tuple[bytes, ...] = ()
    mark: str = ""


class Cancel(Struct, tag="cancel", frozen=True):
    id: int


class Statistics(Struct, tag="statistics", frozen=True):
    """Ask for the worker's counters; the answer is a Counters of the same id."""

    id: int


Command = Load | Generate | Cancel | Statistics | Embed | Rerank | Count | Tokenize | Detokenize


class Ready(Struct, tag="ready", frozen=True, kw_only=True):
    """The model is loaded. Sizes in bytes, `window` and `trained` in tokens; `bos` and `eos` are texts.

    `allocated` tokens have cells at the start; the cache grows to what the window needs. `gpu_layers` lie on GPUs, the
    output layer counted. `warnings` name what was not done as it was asked for.
    """

    window: int
    allocated: int
    trained: int
    size: int
    size_vram: int
    bos: str
    eos: str
    gpu_layers: int = 0
    type_k: str = "f16"
    type_v: str = "f16"
    warnings: tuple[str, ...] = ()


class Loading(Struct, tag="loading", frozen=True):
    """How much of the model is there already, from 0 to 1; said at steps of a hundredth at most."""

    progress: float


class LoadRefused(Struct, tag="load_refused", frozen=True):
    reason: str


class Started(Struct, tag="started", frozen=True, kw_only=True):
    """A sequence was admitted: `cached` of its `prompt_tokens` are in the KV cache already; `limit` is its ceiling.

    The cache has `allocated` cells now. `warnings` name what was not done as it was asked for.
    """

    id: int
    prompt_tokens: int
    cached: int
    limit: int
    allocated: int = 0
    warnings: tuple[str, ...] = ()


class Text(Struct, tag="text", frozen=True, omit_defaults=True):
    """The next text of a sequence, with what was asked for of its tokens' probabilities."""

    id: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class Done(Struct, tag="done", frozen=True, kw_only=True):
    """The end of a sequence. Times in nanoseconds; `reason` is stop, length or cancel.

    `reuse` tells where the cached tokens came from, or why there are none. `evaluated` tokens were prefilled.
    """

    id: int
    reason: str
    prompt_tokens: int
    cached: int
    completion_tokens: int
    prompt_ns: int
    eval_ns: int
    queue_ns: int = 0
    evaluated: int = 0
    reuse: str = ""
    drafted: int = 0
    accepted: int = 0
    tokens: tuple[int, ...] = ()


class Refused(Struct, tag="refused", frozen=True, kw_only=True):
    """A sequence ended by an error; `tokens` and `limit` are set when the prompt is too long.

    `code` is that of the error class it means: where it says unsupported, `reason` is the capability; `field` is what
    the request calls a constraint that cannot be used.
    """

    id: int
    reason: str
    code: str = ""
    tokens: int = 0
    limit: int = 0
    field: str = ""


class Counters(Struct, tag="counters", frozen=True, kw_only=True):
    """The worker's counters since its start; times in nanoseconds.

    `host_ns` is the time between two decode calls of busy steps, `sample_ns` the part of it in llama.cpp's samplers.
    `step_ns` is how long the step takes that is under way, 0 without one.
    """

    id: int
    decodes: int
    tokens_decoded: int
    tokens_sampled: int
    decode_ns: int
    host_ns: int
    sample_ns: int
    step_ns: int
    running: int
    waiting: int
    allocated: int = 0
    resident: int = 0
    drafted: int = 0
    accepted: int = 0


Answer = Embeddings | Scores | Counted | Tokenized | Detokenized
Event = Ready | Loading | LoadRefused | Started | Text | Done | Refused | Counters | Answer

M = TypeVar("M")
_encode = msgspec.msgpack.Encoder().encode


def frame(messages: Sequence[Command] | Sequence[Event]) -> bytes:
    """One frame with all `messages`. Raises ValueError if it is over FRAME_BYTES_MAX."""
    body = _encode(messages)
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {len(body)} bytes")
    return len(body).to_bytes(HEADER_BYTES, "little") + body


class Frames(Generic[M]):
    """Takes bytes as they come and gives whole messages. Raises ValueError on a frame over FRAME_BYTES_MAX."""

    def __init__(self, decoder: "msgspec.msgpack.Decoder[list[M]]") -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[M]:
        self._buffer += data
        while (end := self._frame_end()) is not None:
            body = bytes(memoryview(self._buffer)[HEADER_BYTES:end])
            del self._buffer[:end]
            yield from self._decoder.decode(body)

    def _frame_end(self) -> int | None:
        if len(self._buffer) < HEADER_BYTES:
            return None
        size = int.from_bytes(self._buffer[:HEADER_BYTES], "little")
        if size > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {size} bytes")
        end = HEADER_BYTES + size
        return end if len(self._buffer) >= end else None


def commands() -> "Frames[Command]":
    return Frames(msgspec.msgpack.Decoder(list[Command]))


def events() -> "Frames[Event]":
    return Frames(msgspec.msgpack.Decoder(list[Event]))
