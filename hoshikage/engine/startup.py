"""From the command that loads a model to what serves it: window, cache, snapshots. Reads no socket."""

import logging
from pathlib import Path

from hoshikage.engine import wire
from hoshikage.engine.cache import Cache
from hoshikage.engine.desk import Desk
from hoshikage.engine.draft import Drafter
from hoshikage.engine.draft_model import DraftModel
from hoshikage.engine.embedder import Embedder
from hoshikage.engine.fingerprint import fingerprint
from hoshikage.engine.llama import library
from hoshikage.engine.llama.context import Context
from hoshikage.engine.llama.model import Model, Progress
from hoshikage.engine.loop import Loop
from hoshikage.engine.prefix import Reuse
from hoshikage.engine.residents import Limits
from hoshikage.engine.scheduler import Scheduler
from hoshikage.engine.shelf import Place, Shelf
from hoshikage.engine.threads import physical_cores
from hoshikage.errors import LoadFailed
from hoshikage.ramdisk.memory import Memory

SEQUENCES = 256
"""Sequence ids that llama.cpp has: running sequences, and idle ones that keep their prefix."""
FIRST_CELLS = 8192
"""Tokens that the cache has room for at the start."""
KV_SHARE = 4
"""A quarter of the free memory may become KV cache, where KV_MEMORY_GB leaves it open."""
KV_TYPE = "f16"
NS_PER_MS = 1_000_000
POOLED_CELLS = 8192
"""The longest input for a vector in tokens, where N_CTX leaves it open: its memory comes on top of the cache's."""

log = logging.getLogger("hoshikage.startup")


def opened(load: wire.Load, progress: Progress | None = None) -> Model:
    """The model with its adapters. Raises LoadFailed."""
    adapters = [Path(each) for each in load.adapters]
    return Model(
        Path(load.path),
        n_gpu_layers=load.n_gpu_layers,
        use_mmap=load.use_mmap,
        adapters=adapters,
        progress=progress,
    )


def desk(model: Model, load: wire.Load) -> Desk:
    """What serves the model; one that cannot generate gets no cache, but room for vectors. Raises LoadFailed."""
    threads = load.n_threads or physical_cores()
    window, budget_ns = min(load.n_ctx or POOLED_CELLS, model.trained), load.step_ms * NS_PER_MS
    embedder = Embedder(model, window=window, threads=threads, budget_ns=budget_ns)
    if embedder.traits.generates:
        return Desk(loop(model, load), embedder)
    embedder.open()
    return Desk(None, embedder)


def loop(model: Model, load: wire.Load) -> Loop:
    """A loop with an empty cache. Raises LoadFailed."""
    slots = load.num_parallel if model.keeps_state else SEQUENCES - 1
    most = most_cells(model, load)
    window = min(most, model.trained)
    batch, threads = min(load.n_batch, window), load.n_threads or physical_cores()

    def make(cells: int) -> Context:
        return Context(model, cells=cells, batch=batch, slots=slots + 1, threads=threads)

    cache = Cache(make, min(most, FIRST_CELLS), slots, shelf(model, load))
    limits = Limits(slots, cache.context.cells, load.num_parallel, batch, most, thins(model, load))
    scheduler = Scheduler(limits, cache, budget_ns=load.step_ms * NS_PER_MS)
    drafter = Drafter(draft_model(model, load, window)) if load.speculation and not model.keeps_state else None
    return Loop(model, cache, scheduler, window, drafter)


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
        small = Model(Path(load.draft_path), n_gpu_layers=load.n_gpu_layers, use_mmap=load.use_mmap)
        if small.n_vocab != model.n_vocab or small.keeps_state:
            log.warning("%s cannot draft for this model: it has another vocabulary, or keeps a state", load.draft_path)
            small.close()
            return None
        return DraftModel(small, window=min(window, FIRST_CELLS), threads=load.n_threads or physical_cores())
    except LoadFailed as error:
        log.warning("no drafts by %s: %s", load.draft_path, error)
        return None


def most_cells(model: Model, load: wire.Load) -> int:
    """Tokens that the cache may hold: N_CTX, else as many as can be of use, within the memory."""
    room = (load.kv_bytes or Memory().available() // KV_SHARE) // max(1, model.kv_bytes)
    if load.n_ctx:
        return min(load.n_ctx, room) if load.kv_bytes else load.n_ctx
    return max(1, min(room, load.num_parallel * model.trained))


def shelf(model: Model, load: wire.Load) -> Shelf | None:
    """The model's snapshots; None where there is no place for them."""
    places = [Place(Path(p.folder), p.budget, Reuse.HIT_SNAPSHOT if p.ram else Reuse.HIT_DISK) for p in load.places]
    if not places:
        return None
    window = 0 if model.keeps_state else model.window or None
    adapters = [fingerprint([each]).hex() for each in model.adapters.files]
    return Shelf(places, fingerprint(model.files, library.build(), KV_TYPE, *adapters), window)


def ready(model: Model, made: Desk) -> wire.Ready:
    return wire.Ready(
        window=made.window,
        allocated=made.allocated,
        trained=model.trained,
        size=model.size,
        size_vram=0,
        bos=model.bos,
        eos=model.eos,
    )
