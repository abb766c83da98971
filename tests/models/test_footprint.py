"""The memory estimate: against what real workers take, and of headers that say more than the usual."""

import re
from pathlib import Path

import pytest
from msgspec import structs

from fixtures.split_gguf import split
from fixtures.tiny_gguf import WIDTH, make_tiny
from fixtures.tiny_lora import make_lora
from fixtures.tiny_mmproj import make_mmproj
from fixtures.vast_gguf import make_vast
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.models.footprint import estimate
from hoshikage.models.gguf import read_header

MIB = 1 << 20
ERROR_MOST = 0.15


def load(path: Path) -> wire.Load:
    return wire.Load(path=str(path), n_ctx=0, n_batch=512, n_threads=0, n_gpu_layers=0, num_parallel=8)


def resident(pid: int, kind: str) -> int:
    """Bytes that a process has in memory: of its own (`RssAnon`) or of files (`RssFile`)."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize("name", ["starter", "gemma"])
async def test_it_is_close_to_what_a_worker_takes(name: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(name)
    footprint, engine = estimate(load(path)), await Engine.start(load(path))
    real = resident(engine.pid, "RssAnon") + resident(engine.pid, "RssFile")
    await engine.close()
    assert abs(footprint.total / real - 1) < ERROR_MOST, (footprint.total // MIB, real // MIB)


def test_the_weights_are_those_of_all_files(tmp_path: Path) -> None:
    one = make_tiny(tmp_path / "tiny.gguf")
    weights = sum(tensor.size for tensor in read_header(one).tensors)
    lora, draft = make_lora(tmp_path / "lora.gguf"), make_tiny(tmp_path / "draft.gguf", seed=1)
    assert estimate(load(one)).mapped == weights
    more = structs.replace(load(one), adapters=(str(lora),), draft_path=str(draft))
    lifted = sum(tensor.size for tensor in read_header(lora).tensors)
    assert estimate(more).mapped == 2 * weights + lifted
    assert estimate(load(split(one, 3)[0])).mapped == weights


def test_weights_are_counted_by_the_header_and_not_read(tmp_path: Path) -> None:
    assert estimate(load(make_vast(tmp_path / "vast.gguf", 2**40))).mapped == 2**40


def test_weights_that_are_not_mapped_are_the_workers_own(tmp_path: Path) -> None:
    asked = load(make_tiny(tmp_path / "tiny.gguf"))
    mapped, read = estimate(asked), estimate(structs.replace(asked, use_mmap=False))
    assert (read.mapped, read.total) == (0, mapped.total)
    assert read.private == mapped.private + mapped.mapped


def test_the_cache_is_no_larger_than_what_it_may_take(starter: Path) -> None:
    whole, half = estimate(load(starter)), estimate(structs.replace(load(starter), n_ctx=4096))
    assert whole.kv_token == 30 * 3 * (64 + 64) * 2
    assert whole.private - half.private == 4096 * whole.kv_token
    little = estimate(structs.replace(load(starter), kv_bytes=10 * MIB))
    assert whole.private - little.private == (8192 - 10 * MIB // whole.kv_token) * whole.kv_token


def test_what_goes_to_a_gpu_is_not_the_machines(starter: Path) -> None:
    asked = structs.replace(load(starter), n_gpu_layers=-1)
    here, there = estimate(asked, 0), estimate(asked, 80 << 30)
    assert (here.vram, there.vram > 300 * MIB) == (0, True)
    assert there.private == here.private - 8192 * here.kv_token
    embedding = next(each.size for each in read_header(starter).tensors if each.name == "token_embd.weight")
    assert there.mapped < embedding + MIB
    crowded = estimate(asked, 100 * MIB)
    assert (crowded.vram, crowded.total) == (100 * MIB, there.total)


def test_a_file_that_cannot_be_read_is_left_to_the_engine(tmp_path: Path) -> None:
    (tmp_path / "letter.gguf").write_text("Dear")
    for name in ("letter.gguf", "nowhere.gguf"):
        found = estimate(load(tmp_path / name))
        assert (found.mapped, found.kv_token, found.window) == (0, 0, 0)


def test_a_projector_counts_where_it_lies(tmp_path: Path) -> None:
    bare = load(make_tiny(tmp_path / "text.gguf"))
    eyes = make_mmproj(tmp_path / "eyes.gguf", text_width=WIDTH)
    weights = sum(each.size for each in read_header(eyes).tensors)
    both = structs.replace(bare, projector=str(eyes))
    assert estimate(both).private - estimate(bare).private == weights > 50_000
    there = [estimate(structs.replace(each, n_gpu_layers=-1), 80 << 30) for each in (bare, both)]
    assert (there[1].vram - there[0].vram, there[1].private - there[0].private) == (weights, 0)
