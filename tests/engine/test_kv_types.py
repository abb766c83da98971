"""KV caches of other types than f16: what is restored, shared and moved gives a cold run's logits; types never mix."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.engine.client import Engine
from hoshikage.engine.llama import library
from hoshikage.engine.llama.computing import Computing
from hoshikage.engine.llama.model import Model
from hoshikage.engine.sequence import Sequence
from hoshikage.errors import LoadFailed
from hoshikage.kv_types import KV_TYPES
from tests.engine.driver import THREADS, Driver, cold, context, opened
from tests.engine.test_engine import said
from tests.engine.test_resume import chunk_ends, prompt
from tests.engine.test_reuse import STORY, ask, load

Q8 = Computing(THREADS, type_k="q8_0", type_v="q8_0")
MIXED = Computing(THREADS, flash="on", type_k="q8_0", type_v="q4_0")
NO_FLASH = Computing(THREADS, flash="off", type_k="q8_0", type_v="f16")
WAYS = pytest.mark.parametrize("how", [Q8, MIXED, NO_FLASH], ids=["q8_0", "q8_0+q4_0", "no flash attention"])


@pytest.fixture(scope="module", params=["dense", "windowed"])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    made = opened(request.getfixturevalue("starter" if request.param == "dense" else "gemma"))
    yield made
    made.close()


@WAYS
def test_a_restored_prefix_gives_the_logits_of_a_cold_run(model: Model, tmp_path: Path, how: Computing) -> None:
    """Also at an earlier turn's end, which under a sliding window is a checkpoint's."""
    first = Sequence(1, "a", prompt(model, 560 if model.window else 200), 4000, 6)
    saving = Driver(model, tmp_path, computing=how)
    saving.run(first)
    saving.save()
    saving.close()
    told = first.tokens[: first.n_past]
    restoring = Driver(model, tmp_path, computing=how)
    for id_, keep in ((2, len(told)), (3, first.n_prompt - 1)):
        again = Sequence(id_, "a", [*told[:keep], 7, 8], 4000, 1)
        restoring.run(again)
        assert (again.n_cached, again.n_evaluated) == (keep, 2)
        expected = cold(model, told, chunk_ends(first.n_prompt, len(told)), keep, again.tokens[keep : keep + 2], how)
        assert np.abs(restoring.ends[id_] - expected).max() <= 1
    restoring.close()


@WAYS
def test_a_growing_cache_keeps_its_sequences_and_shared_prefixes(model: Model, how: Computing) -> None:
    small, large = (Driver(model, cells=cells, most_cells=2048, computing=how) for cells in (384, 2048))
    for driver in (small, large):
        driver.run(*(Sequence(i, "a", [*prompt(model, 200), 30 + i, 31], 4000, 2) for i in range(2)))
        driver.run(*(Sequence(10 + i, "a", prompt(model, 200, i), 4000, 2) for i in range(1, 3)))
    assert 384 < small.cache.context.cells < large.cache.context.cells
    for id_, logits in large.ends.items():
        assert np.abs(small.ends[id_] - logits).max() <= 1
    small.close()
    large.close()


@pytest.mark.parametrize("kind", KV_TYPES)
def test_a_token_takes_the_bytes_that_its_type_says(model: Model, kind: str) -> None:
    """Of the whole state that llama.cpp saves, but for what it notes of each cell and layer."""
    how = Computing(THREADS, type_k=kind, type_v=kind)
    driver = Driver(model, computing=how)
    driver.run(Sequence(1, "a", prompt(model, 50), 4000, 1))
    saved = driver.cache.context.state_size(0)
    driver.close()
    each = model.kv_bytes(kind, kind)
    assert 50 * each <= saved <= 50 * each + 50 * 64 + 64 * model.layers


@pytest.mark.parametrize("other", [{}, {"type_k": "q8_0"}, {"type_k": "q8_0", "type_v": "q4_0"}, {"flash": "off"}])
async def test_a_snapshot_of_one_type_is_never_used_for_another(
    starter: Path, tmp_path: Path, other: dict[str, str]
) -> None:
    found = []
    for types in ({"type_k": "q8_0", "type_v": "q8_0"}, other, {"type_k": "q8_0", "type_v": "q8_0"}):
        engine = await Engine.start(load(starter, tmp_path, **types))  # type: ignore[arg-type]
        _, end = await said(engine, ask(STORY, new=2))
        await engine.close()
        found.append((engine.ready.type_k, end.reuse, end.evaluated))
    kind = other.get("type_k", "f16")
    assert found == [
        ("q8_0", "miss_prefix", found[0][2]),
        (kind, "miss_prefix", found[0][2]),
        ("q8_0", "hit_snapshot", 1),
    ]


async def test_heads_that_a_type_does_not_divide_are_refused_by_name(tmp_path: Path) -> None:
    """Llama.cpp would read beyond the row of a key where flash attention is off."""
    make_tiny(tmp_path / "tiny.gguf")
    for flash in ("auto", "off"):
        with pytest.raises(LoadFailed, match=r"KV_TYPE_K=q8_0 needs .* multiple of 32, but 8 .* set KV_TYPE_K=f16"):
            await Engine.start(load(tmp_path / "tiny.gguf", type_k="q8_0", flash=flash))


def test_what_llama_cpp_refuses_is_said_with_the_way_out(starter: Path) -> None:
    model = opened(starter)
    with pytest.raises(LoadFailed, match=r"quantized V cache requires flash_attn .* KV_TYPE_V=f16 fits every model"):
        context(model, computing=Computing(THREADS, flash="off", type_v="q8_0"))
    model.close()


async def test_a_quantized_cache_answers_eight_at_once(gemma: Path) -> None:
    engine = await Engine.start(load(gemma, type_k="q8_0", type_v="q8_0", flash="on"))
    ends = await asyncio.gather(*(said(engine, ask(f"{STORY} {i}", new=12)) for i in range(8)))
    await engine.close()
    assert {end.completion_tokens for _, end in ends} == {12}
    assert engine.ready.size_vram == 0 or library.supports_gpu()
