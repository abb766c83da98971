"""How much memory a load will take, from the headers of its files alone. It knows no engine and no other model.

Weights that are mapped count in full: their pages look free to the system as long as nobody needs them, but a model
whose pages go is read again for every token. Those on a RAM disk count as well, and its copies count as free.
"""

import re
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from hoshikage.engine.build import installed_build
from hoshikage.engine.wire import Load
from hoshikage.errors import HoshikageError
from hoshikage.kv_types import FIRST_CELLS, row_bytes
from hoshikage.models.capabilities import capabilities
from hoshikage.models.eviction import Bytes
from hoshikage.models.gguf import Array, Header, Tensor, read_header
from hoshikage.models.repack import repackable
from hoshikage.models.shards import shards

BATCH_MOST = 512
"""Tokens that llama.cpp evaluates in one graph at most."""
WORKER_BYTES = 48 << 20
"""A worker without a model: Python, llama.cpp, what malloc keeps. Measured."""
TOKEN_BYTES = 1150
"""What llama.cpp and the constraints keep of one token of a vocabulary. Measured with 49,152 and with 262,144."""
FLOAT_BYTES, MASK_BYTES = 4, 2
ACTIVATIONS = 3
"""Rows of each width, of the embedding and of the feed-forward layer, that a graph holds at the same time."""
KEPT = 4096
"""Per-layer arrays of a header are kept up to here; vocabularies are longer."""
_LAYER = re.compile(r"blk\.(\d+)\.")


class Shape(Struct, frozen=True, kw_only=True):
    """What of the headers counts: lengths in tokens, layers and values, weights in bytes.

    `upper` bytes of the weights lie in `layers` and above, and may go to a GPU; `repackable` ones may be laid out anew;
    `values` are a token's in the KV cache.
    """

    weights: int = 0
    upper: int = 0
    repackable: int = 0
    layers: int = 0
    key_values: int = 0
    value_values: int = 0
    trained: int = 0
    vocabulary: int = 0
    width: int = 0
    generates: bool = False


class Footprint(Struct, frozen=True, kw_only=True):
    """Bytes: `mapped` are weights whose pages the system could take back, `private` is the worker's own, `vram` the
    GPU's. `kv_token` is a token of the KV cache; `window` and `trained` are in tokens.

    `repack` tells that weights are laid out anew: these are the worker's own."""

    mapped: int = 0
    private: int = 0
    vram: int = 0
    kv_token: int = 0
    window: int = 0
    trained: int = 0
    repack: bool = True

    @property
    def size(self) -> Bytes:
        return Bytes(self.mapped + self.private, self.vram)

    @property
    def total(self) -> int:
        return self.mapped + self.private + self.vram


def estimate(load: Load, vram_total: int = 0) -> Footprint:
    """What the load will take before it has served anything.

    A file that cannot be read counts nothing: the engine will tell what is wrong with it. Of what goes to GPUs with
    `vram_total` bytes, the engine leaves in the machine's memory what does not fit.
    """
    shape = shape_of(Path(load.path))
    beside = sum(shape_of(Path(each)).weights for each in (load.draft_path, *load.adapters) if each)
    projector = shape_of(Path(load.projector)).weights if load.projector else 0
    window = min(load.n_ctx or shape.trained, shape.trained)
    on_gpu = _gpu_share(load, shape) if vram_total else 0.0
    kv_token = row_bytes(load.type_k, shape.key_values) + row_bytes(load.type_v, shape.value_values)
    kv = _cells(load, shape, kv_token) * kv_token
    lifted = int(shape.upper * on_gpu)
    wanted = (projector if on_gpu else 0) + lifted + int(kv * on_gpu) + (_gpu_compute(shape) if on_gpu else 0)
    vram = min(vram_total, wanted)
    stays = shape.weights - lifted + beside
    repacked = int(shape.repackable * (1 - on_gpu)) if load.repack else 0
    private = WORKER_BYTES + shape.vocabulary * TOKEN_BYTES + _compute(load, shape) + int(kv * (1 - on_gpu))
    private += wanted - vram + (0 if on_gpu else projector)
    mapped = stays - repacked if load.use_mmap else 0
    return Footprint(
        mapped=mapped,
        private=private + stays - mapped,
        vram=vram,
        kv_token=kv_token,
        window=window,
        trained=shape.trained,
        repack=load.repack,
    )


def offloads() -> bool:
    """Whether the llama.cpp that is installed uses GPUs; one from elsewhere may."""
    build = installed_build()
    return build is None or build.backend != "cpu"


def shape_of(path: Path) -> Shape:
    """All files of the model at `path` together; nothing of what cannot be read."""
    try:
        found = path.stat()
        return _shape(path, found.st_size, found.st_mtime_ns)
    except (HoshikageError, OSError):
        return Shape()


@lru_cache(maxsize=64)
def _shape(path: Path, _size: int, _mtime_ns: int) -> Shape:
    header = read_header(path, KEPT)
    rest = (read_header(part) for part in shards(path, header)[1:])
    tensors = [*header.tensors, *(tensor for part in rest for tensor in part.tensors)]
    arch, generates = header.architecture, "completion" in capabilities(header)
    layers, heads = header.integer(f"{arch}.block_count"), header.integer(f"{arch}.attention.head_count")
    width = header.embedding_length
    each = width // heads if heads else 0
    kv_heads = _kv_heads(header, layers, heads) if generates else 0
    return Shape(
        weights=sum(tensor.size for tensor in tensors),
        upper=sum(tensor.size for tensor in tensors if _in_layers(tensor)),
        repackable=repackable(tensors),
        layers=layers,
        key_values=kv_heads * header.integer(f"{arch}.attention.key_length", each),
        value_values=kv_heads * header.integer(f"{arch}.attention.value_length", each),
        trained=header.context_length,
        vocabulary=_vocabulary(header),
        width=width + header.integer(f"{arch}.feed_forward_length", 4 * width),
        generates=generates,
    )


def _kv_heads(header: Header, layers: int, heads: int) -> int:
    """Of all layers together; a header may name a number for each layer, with 0 for those that keep a state."""
    given = header.metadata.get(f"{header.architecture}.attention.head_count_kv", heads)
    if isinstance(given, list):
        return sum(each for each in given if isinstance(each, int))
    return layers * (given if isinstance(given, int) else heads)


def _vocabulary(header: Header) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, Array):
        return tokens.length
    return len(tokens) if isinstance(tokens, list) else 0


def _in_layers(tensor: Tensor) -> bool:
    """Token embeddings stay in the machine's memory, as in llama.cpp; the output layer goes with the last."""
    return _LAYER.match(tensor.name) is not None or tensor.name.startswith("output")


def _gpu_share(load: Load, shape: Shape) -> float:
    """The share of the layers on the GPU; the output layer counts as one."""
    if load.n_gpu_layers < 0:
        return 1.0
    return min(1.0, load.n_gpu_layers / (shape.layers + 1))


def _cells(load: Load, shape: Shape, kv_token: int) -> int:
    """Tokens of the first allocation, as the engine makes it: up to FIRST_CELLS, within what it may take."""
    if not kv_token:
        return 0
    room = load.kv_bytes // kv_token if load.kv_bytes else FIRST_CELLS
    useful = load.n_ctx or load.num_parallel * shape.trained
    return max(1, min(FIRST_CELLS, room, useful))


def _compute(load: Load, shape: Shape) -> int:
    """What is touched of the machine's buffers: activations and mask of a batch, the logits of those who generate."""
    batch = min(BATCH_MOST, load.n_batch)
    activations = batch * ACTIVATIONS * shape.width * FLOAT_BYTES
    mask = batch * FIRST_CELLS * MASK_BYTES if shape.generates else 0
    logits = 2 * load.num_parallel * shape.vocabulary * FLOAT_BYTES if shape.generates else 0
    return activations + mask + logits


def _gpu_compute(shape: Shape) -> int:
    """A GPU's buffer is had in full: logits of a whole batch, activations and mask."""
    batch = BATCH_MOST * (shape.vocabulary + ACTIVATIONS * shape.width) * FLOAT_BYTES
    return batch + BATCH_MOST * FIRST_CELLS * MASK_BYTES
