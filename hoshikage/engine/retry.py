"""A load that fails for want of memory on the GPU is tried once more with fewer layers there, and says so."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import structs

from hoshikage.engine import startup, wire
from hoshikage.engine.desk import Desk
from hoshikage.engine.llama import library
from hoshikage.engine.llama.devices import Device, gpus
from hoshikage.engine.llama.model import Model, Progress
from hoshikage.engine.llama.placement import Placement
from hoshikage.engine.offload import fewer_layers, out_of_vram
from hoshikage.errors import LoadFailed

log = logging.getLogger("hoshikage.startup")

Served = tuple[Model, Desk, wire.Ready]
Serve = Callable[[wire.Load, tuple[str, ...]], Served]


def served(load: wire.Load, warnings: tuple[str, ...] = (), progress: Progress | None = None) -> Served:
    """The model, what serves it, and what is said of it. Raises LoadFailed, with nothing left in memory."""
    model = startup.opened(load, progress)
    try:
        desk = startup.desk(model, load)
    except LoadFailed:
        model.close()
        raise
    return model, desk, startup.ready(model, desk, load, warnings)


def with_fewer_layers(load: wire.Load, serve: Serve = served, devices: Callable[[], Sequence[Device]] = gpus) -> Served:
    """As `serve`; a second time, with a warning in Ready, if the GPUs' memory was too small for the first.

    Raises LoadFailed with the reason of the last attempt.
    """
    free = startup.placement(load).used(devices())
    try:
        return serve(load, ())
    except LoadFailed as error:
        if not free or not out_of_vram([str(error), *library.last_errors]):
            raise
        fewer = _fewer(load, sum(each.free for each in free))
        log.warning("%s: %s; trying again with %d layers on the GPU", load.path, error, fewer)
    return serve(structs.replace(load, n_gpu_layers=fewer), (f"gpu-layers-reduced={fewer}",))


def _fewer(load: wire.Load, free_bytes: int) -> int:
    header = Model(Path(load.path), Placement(n_gpu_layers=0, weights=False))
    layers, size = header.layers, sum(file.stat().st_size for file in header.files)
    header.close()
    return fewer_layers(load.n_gpu_layers, layers, weights_bytes=size, free_bytes=free_bytes)
