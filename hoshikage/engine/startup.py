"""From the command that loads a model to what serves it: window, cache, snapshots. Reads no socket."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from hoshikage.engine import wire
from hoshikage.engine.cache import Cache
from hoshikage.engine.desk import Desk
from hoshikage.engine.draft import Drafter
from hoshikage.engine.draft_model import DraftModel
from hoshikage.engine.embedder import Embedder
from hoshikage.engine.encoder import Encoder
from hoshikage.engine.fingerprint import fingerprint
from hoshikage.engine.llama import library
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.context import AT_ONCE, Context
from hoshikage.engine.llama.devices import bytes_on, gpus
from hoshikage.engine.llama.model import Model, Progress
from hoshikage.engine.llama.placement import Placement
from hoshikage.engine.loop import Loop
from hoshikage.engine.offload import kv_cells, placed
from hoshikage.engine.prefix import Reuse
from hoshikage.engine.residents import Limits
from hoshikage.engine.scheduler import Scheduler
from hoshikage.engine.shelf import Place, Shelf
from hoshikage.engine.threads import physical_cores
from hoshikage.errors import LoadFailed
from hoshikage.kv_types import FIRST_CELLS, KV_TYPES
from hoshikage.ramdisk.memory import Memory

if TYPE_CHECKING:
    from hoshikage.engine.llama.media import Projector

SEQUENCES = 256
"""Sequence ids that llama.cpp has: running sequences, and idle ones that keep their prefix."""
NS_PER_MS = 1_000_000
POOLED_CELLS = 8192
"""The longest input for a vector in tokens, where N_CTX leaves it open: its memory comes on top of the cache's."""

log = logging.getLogger("hoshikage.startup")


def opened(load: wire.Load, progress: Progress | None = None) -> Model:
    """The model with its adapters. Raises LoadFailed."""
    return Model(Path(load.path), placement(load), [Path(each) for each in load.adapters], progress)


def placement(load: wire.Load) -> Placement:
    return Placement(
        n_gpu_layers=load.n_gpu_layers,
        use_mmap=load.use_mmap,
        mlock=load.mlock,
        repack=load.repack,
        main_gpu=load.main_gpu,
        tensor_split=load.tensor_split,
        split_mode=load.split_mode,
    )


def computing(load: wire.Load) -> Computing:
    threads = load.n_threads or physical_cores()
    return Computing(threads, load.n_threads_batch, load.flash, load.type_k, load.type_v)


def desk(model: Model, load: wire.Load) -> Desk:
    """What serves the model; one that cannot generate gets no cache, but room for vectors. Raises LoadFailed."""
    window, budget_ns = min(load.n_ctx or POOLED_CELLS, model.trained), load.step_ms * NS_PER_MS
    embedder = Embedder(model, computing(load), window=window, budget_ns=budget_ns)
    if not embedder.traits.generates:
        embedder.open()
        return Desk(None, embedder)
    projector = projected(model, load)
    try:
        return Desk(loop(model, load, projector), embedder, projector)
    except LoadFailed:
        if projector:
            projector.close()
        raise


def projected(model: Model, load: wire.Load) -> "Projector | None":
    """What makes images into input, if the model has it. Raises LoadFailed."""
    if not load.projector:
        return None
    from hoshikage.engine.llama.media import Projector

    gpu, how = load.n_gpu_layers != 0 and library.supports_gpu(), computing(load)
    return Projector(Path(load.projector), model, threads=how.threads, flash=load.flash, gpu=gpu)


def loop(model: Model, load: wire.Load, projector: "Projector | None" = None) -> Loop:
    """A loop with an empty cache. Raises LoadFailed."""
    check_types(model, load)
    slots = load.num_parallel if model.keeps_state else SEQUENCES - 1
    most = most_cells(model, load)
    window = min(most, model.trained)
    batch, how = min(load.n_batch, window), computing(load)
    at_once = max(AT_ONCE, batch) if projector and not projector.traits.causal else AT_ONCE

    def make(cells: int) -> Context:
        return Context(model, how, cells=cells, batch=batch, slots=slots + 1, at_once=at_once)

    cache = Cache(make, min(most, FIRST_CELLS), slots, shelf(model, load))
    limits = Limits(slots, cache.context.cells, load.num_parallel, batch, most, thins(model, load))
    scheduler = Scheduler(limits, cache, budget_ns=load.step_ms * NS_PER_MS)
    drafter = Drafter(draft_model(model, load, window)) if load.speculation and not model.keeps_state else None
    encoder = Encoder(lambda picture: projector.encode(picture.piece)) if projector else None
    return Loop(model, cache, scheduler, window, drafter, encoder)


def check_types(model: Model, load: wire.Load) -> None:
    """Raises LoadFailed where a quantized cache does not fit the model's heads: llama.cpp does not check it always."""
    for name, kind, size in zip("KV", (load.type_k, load.type_v), model.head_sizes, strict=True):
        if size % KV_TYPES[kind].block:
            need = f"a multiple of {KV_TYPES[kind].block}, but {size}"
            reason = f"KV_TYPE_{name}={kind} needs heads of {need} values has this model; set KV_TYPE_{name}=f16"
            raise LoadFailed(reason=reason)


def thins(model: Model, load: wire.Load) -> bool:
    """Whether idle sequences had better be on the RAM disk: not where they are cheap to pass over (sliding windows) or
    dear to move (a GPU)."""
    on_gpu = load.n_gpu_layers != 0 and library.supports_gpu()
    return bool(load.places) and not (on_gpu or model.window or model.keeps_state)


def draft_model(model: Model, load: wire.Load, window: int) -> DraftModel | None:
    """The small model that guesses for this one, if there is one with its vocabulary."""
    if not load.draft_path:
        return None
    try:
        small = Model(Path(load.draft_path), placement(load))
        if small.n_vocab != model.n_vocab or small.keeps_state:
            log.warning("%s cannot draft for this model: it has another vocabulary, or keeps a state", load.draft_path)
            small.close()
            return None
        return DraftModel(small, computing(load), window=min(window, FIRST_CELLS))
    except LoadFailed as error:
        log.warning("no drafts by %s: %s", load.draft_path, error)
        return None


def most_cells(model: Model, load: wire.Load) -> int:
    """Tokens that the cache may hold: N_CTX, else as many as can be of use, within the memory."""
    if load.n_ctx and not load.kv_bytes:
        return load.n_ctx
    each = model.kv_bytes(load.type_k, load.type_v)
    room = load.kv_bytes // max(1, each) if load.kv_bytes else free_cells(model, each)
    return min(load.n_ctx, room) if load.n_ctx else max(1, min(room, load.num_parallel * model.trained))


def free_cells(model: Model, kv_bytes: int) -> int:
    """Tokens of cache that a share of the free memory holds, now that the model is loaded: of the GPUs' for the layers
    that lie there, of the RAM for the others."""
    vram = sum(each.free for each in model.placement.used(gpus()))
    share = max(0, gpu_layers(model) - 1) / max(1, model.layers)
    return kv_cells(kv_bytes, share, free_vram=vram, free_ram=Memory().available())


def gpu_layers(model: Model) -> int:
    """Of its layers and the output layer, those on a GPU."""
    used = model.placement.used(gpus())
    return placed(model.placement.n_gpu_layers, model.layers) if used else 0


def shelf(model: Model, load: wire.Load) -> Shelf | None:
    """The model's snapshots; None where there is no place for them. A cache of other types cannot take them, nor one
    that lies otherwise for want of flash attention."""
    places = [Place(Path(p.folder), p.budget, Reuse.HIT_SNAPSHOT if p.ram else Reuse.HIT_DISK) for p in load.places]
    if not places:
        return None
    window = 0 if model.keeps_state else model.window or None
    beside = [*model.adapters.files, *([Path(load.projector)] if load.projector else [])]
    adapters = [fingerprint([each]).hex() for each in beside]
    cache = f"K {load.type_k}, V {load.type_v}{', no flash attention' if load.flash == 'off' else ''}"
    return Shelf(places, fingerprint(model.files, library.build(), cache, *adapters), window)


def ready(model: Model, made: Desk, load: wire.Load, warnings: tuple[str, ...] = ()) -> wire.Ready:
    lost = [each for each in model.warnings if load.mlock and "mlock" in each]
    for each in lost:
        log.warning("MLOCK: %s", each)
    return wire.Ready(
        window=made.window,
        allocated=made.allocated,
        trained=model.trained,
        size=model.size,
        size_vram=min(model.size, bytes_on(model.placement.used(gpus()), model.buffers)),
        bos=model.bos,
        eos=model.eos,
        gpu_layers=gpu_layers(model),
        type_k=load.type_k,
        type_v=load.type_v,
        warnings=(*warnings, *(["mlock-failed"] if lost else [])),
    )
