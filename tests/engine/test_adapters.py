"""LoRA adapters in the real engine: they change what the model says, in every context, and no snapshot crosses over."""

from array import array
from pathlib import Path

import gguf
import numpy as np
import pytest

from fixtures.tiny_gguf import make_tiny
from fixtures.tiny_lora import make_lora
from hoshikage.engine.client import Engine
from hoshikage.engine.sequence import Sequence
from hoshikage.engine.wire_pooled import Embed
from hoshikage.errors import LoadFailed
from tests.engine.driver import Driver, Logits, cold, opened
from tests.engine.test_engine import said
from tests.engine.test_reuse import STORY, ask, load

TOLD = list(range(3, 43))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "tiny.gguf", window=4096)


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return make_lora(tmp_path / "lora.gguf")


def logits(path: Path, *adapters: Path) -> Logits:
    model = opened(path, *adapters)
    found = cold(model, TOLD, [40], 40, [7])
    model.close()
    return found


def test_an_adapter_changes_the_logits_and_the_same_way_twice(tiny: Path, lora: Path) -> None:
    plain, changed, again = logits(tiny), logits(tiny, lora), logits(tiny, lora)
    assert np.abs(plain - changed).max() > 0.01
    assert changed.tolist() == again.tolist()


def test_an_adapter_adds_b_times_a_to_the_weights_and_two_add_up(tiny: Path, lora: Path, tmp_path: Path) -> None:
    """One without strength changes nothing, alone or beside another."""
    nothing = make_lora(tmp_path / "nothing.gguf", strength=0.0)
    assert logits(tiny, nothing).tolist() == logits(tiny).tolist()
    assert np.abs(logits(tiny, nothing, lora) - logits(tiny, lora)).max() < 1e-5
    assert np.abs(logits(tiny, lora, make_lora(tmp_path / "b.gguf", seed=1)) - logits(tiny, lora)).max() > 0.01


def test_the_adapted_model_is_the_sum_of_both_weights(tiny: Path, lora: Path, tmp_path: Path) -> None:
    added = logits(merged(tiny, lora, tmp_path / "merged.gguf"))
    assert np.abs(logits(tiny, lora) - added).max() < 1e-3 * np.abs(added).max()
    assert np.abs(logits(tiny) - added).max() > 0.1 * np.abs(added).max()


def merged(model: Path, adapter: Path, target: Path) -> Path:
    """A copy of the model with `W + alpha / rank * B @ A` for each adapted W."""
    target.write_bytes(model.read_bytes())
    reader, written = gguf.GGUFReader(adapter), gguf.GGUFReader(target, "r+")
    parts, alpha = {each.name: each.data for each in reader.tensors}, reader.fields["adapter.lora.alpha"].contents()
    for tensor in written.tensors:
        if (down := parts.get(f"{tensor.name}.lora_a")) is not None:
            tensor.data[:] += alpha / len(down) * parts[f"{tensor.name}.lora_b"] @ down
    written.data.flush()
    return target


def test_a_cache_that_has_grown_still_has_the_adapter(tiny: Path, lora: Path) -> None:
    plain, changed = opened(tiny), opened(tiny, lora)
    drivers = Driver(changed, cells=256, most_cells=2048), Driver(changed, cells=2048), Driver(plain, cells=2048)
    for driver in drivers:
        driver.run(*(Sequence(i, "a", [3 + i, *TOLD * 5], 4000, 5) for i in range(4)))
        driver.run(Sequence(4, "a", [*TOLD], 4000, 5))
    grown, large, without = drivers
    assert grown.cache.context.cells > 256
    assert np.abs(grown.ends[4] - large.ends[4]).max() < 1e-4
    assert np.abs(grown.ends[4] - without.ends[4]).max() > 0.01
    for driver in drivers:
        driver.close()


async def test_an_adapter_changes_vectors_too(tiny: Path, lora: Path) -> None:
    found = []
    for adapters in ((), (str(lora),), (str(lora),)):
        engine = await Engine.start(load(tiny, adapters=adapters))
        answer = await engine.embed(Embed(id=0, inputs=("the sea",)))
        await engine.close()
        found.append(array("f", answer.vectors[0]).tolist())
    assert found[0] != found[1] == found[2]


async def test_snapshots_stay_on_their_side_of_an_adapter(tiny: Path, lora: Path, tmp_path: Path) -> None:
    ram, told = tmp_path / "ram", []
    for adapters in ((), (str(lora),), (str(lora),), ()):
        engine = await Engine.start(load(tiny, ram, adapters=adapters))
        text, end = await said(engine, ask(STORY, new=16))
        await engine.close()
        told.append((text, end.cached > 0))
    assert [cached for _, cached in told] == [False, False, True, True]
    assert told[0][0] == told[3][0] != told[1][0] == told[2][0]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "No such file"),
        ("a model", "expect general.type to be 'adapter'"),
        ("damaged", "not within the file bounds"),
        ("for another architecture", "arch mismatch"),
        ("for another width", "incorrect shape"),
    ],
)
async def test_an_adapter_that_does_not_fit_is_named(tiny: Path, tmp_path: Path, kind: str, reason: str) -> None:
    path = made(kind, tmp_path / "odd.gguf")
    with pytest.raises(LoadFailed, match=rf"adapter {path}: .*{reason}"):
        await Engine.start(load(tiny, adapters=(str(path),)))


def made(kind: str, path: Path) -> Path:
    if kind == "a model":
        return make_tiny(path)
    if kind == "damaged":
        path.write_bytes(make_lora(path).read_bytes()[:-1])
    elif kind != "missing":
        make_lora(path, architecture="bert" if "architecture" in kind else "llama", width=64 if "width" in kind else 32)
    return path


async def test_an_adapter_over_which_llama_cpp_ends_the_process_is_named_too(tiny: Path, lora: Path) -> None:
    """An alpha that is no float fails an assertion."""
    kinds = (gguf.GGUFValueType.FLOAT32, gguf.GGUFValueType.UINT32)
    float_, integer = (gguf.Keys.Adapter.LORA_ALPHA.encode() + kind.to_bytes(4, "little") for kind in kinds)
    assert float_ in lora.read_bytes()
    lora.write_bytes(lora.read_bytes().replace(float_, integer))
    with pytest.raises(LoadFailed, match=rf"ended while loading {tiny} with {lora}, signal 6"):
        await Engine.start(load(tiny, adapters=(str(lora),)))
