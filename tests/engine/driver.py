"""The real cache and scheduler of a model in this process, sampled greedily; logits of every prompt's end are kept."""

from pathlib import Path

import numpy as np

from hoshikage.engine.cache import Cache
from hoshikage.engine.llama import library
from hoshikage.engine.llama.batch import Batch
from hoshikage.engine.llama.binding import C
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.context import Context
from hoshikage.engine.llama.model import Model
from hoshikage.engine.llama.placement import Placement
from hoshikage.engine.prefix import Reuse
from hoshikage.engine.residents import Limits
from hoshikage.engine.scheduler import Chunk, Scheduler
from hoshikage.engine.sequence import Sequence, State
from hoshikage.engine.shelf import Place, Shelf

SLOTS, BATCH, THREADS = 8, 256, 2
GB = 10**9
F16 = Computing(THREADS)

Logits = np.ndarray[tuple[int], np.dtype[np.float32]]


def opened(path: Path, *adapters: Path) -> Model:
    library.start()
    return Model(path, Placement(n_gpu_layers=0), adapters)


def context(model: Model, cells: int = 4096, computing: Computing = F16) -> Context:
    return Context(model, computing, cells=cells, batch=BATCH, slots=SLOTS + 1)


def row(of: Context, model: Model, index: int) -> Logits:
    pointer = C.llama_get_logits_ith(of.handle, index)
    return np.ctypeslib.as_array(pointer, (model.n_vocab,)).copy()


class Driver:
    """Runs sequences one after the other or together. `ends` holds the logits of each prompt's last token by id."""

    def __init__(
        self,
        model: Model,
        folder: Path | None = None,
        *,
        cells: int = 4096,
        most_cells: int = 0,
        computing: Computing = F16,
    ) -> None:
        window = model.window or None
        self.shelf = Shelf([Place(folder, GB, Reuse.HIT_SNAPSHOT)], b"m" * 16, window) if folder else None
        self.model = model
        self.cache = Cache(lambda count: context(model, count, computing), cells, SLOTS, self.shelf)
        self.scheduler = Scheduler(Limits(SLOTS, cells, 4, BATCH, most_cells), self.cache)
        self.ends: dict[int, Logits] = {}
        self._batch = Batch(BATCH)

    def run(self, *sequences: Sequence) -> None:
        for each in sequences:
            self.scheduler.submit(each)
        while self.scheduler.busy:
            self.step()

    def step(self) -> None:
        chunks, _ = self.scheduler.plan()
        self._batch.clear()
        rows = {c.sequence.id: self._add(c) for c in chunks}
        assert self.cache.context.decode(self._batch)
        self.scheduler.commit(chunks, {c.sequence.id: [self._pick(c, rows)] for c in chunks if c.output})
        for chunk in chunks:
            if chunk.output and chunk.sequence.full:
                self.scheduler.end(chunk.sequence)

    def save(self) -> None:
        while (resident := self.scheduler.residents.unsaved()) is not None:
            self.cache.save(resident)

    def close(self) -> None:
        self.cache.context.close()

    def _add(self, chunk: Chunk) -> int:
        tokens = chunk.sequence.tokens[chunk.start : chunk.start + chunk.length]
        return self._batch.add_many(tokens, chunk.start, chunk.sequence.slot, outputs=int(chunk.output))

    def _pick(self, chunk: Chunk, rows: dict[int, int]) -> int:
        logits = row(self.cache.context, self.model, rows[chunk.sequence.id])
        if chunk.sequence.state is State.PREFILL:
            self.ends.setdefault(chunk.sequence.id, logits)
        return int(logits.argmax())


def cold(
    model: Model, told: list[int], ends: list[int], kept: int, rest: list[int], computing: Computing = F16
) -> Logits:
    """The last logits of `told[:kept] + rest`: `told` evaluated from nothing in chunks that end at `ends`, then cut.

    llama.cpp's results depend on the shapes of the chunks, so these are the ones of the run that it is compared with.
    """
    fresh, batch = context(model, computing=computing), Batch(BATCH)
    for start, end in zip([0, *ends], ends, strict=False):
        batch.clear()
        batch.add_many(told[start:end], start, 0, outputs=1)
        assert fresh.decode(batch)
    assert fresh.cut(0, kept) == kept
    for start in range(0, len(rest), BATCH):
        batch.clear()
        last = batch.add_many(rest[start : start + BATCH], kept + start, 0, outputs=1)
        assert fresh.decode(batch)
    logits = row(fresh, model, last)
    fresh.close()
    return logits
