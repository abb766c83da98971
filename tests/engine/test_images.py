"""The worker process with a tiny model and a tiny projector: what images do to a sequence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from msgspec import structs

from fixtures.pictures import png
from fixtures.tiny_gguf import WIDTH, make_tiny
from fixtures.tiny_mmproj import POSITIONS, make_mmproj
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.errors import LoadFailed, RequestError, Unsupported
from hoshikage.sampling import SamplingOptions
from tests.engine.test_engine import said
from tests.engine.test_reuse import load

MARK = "[img-5eed-"
STORY = "The old bridge was painted red, and nobody remembered why. " * 3
AROUND = len("<start_of_image><end_of_image>")
"""What the projector puts around an image, a byte a token."""
RED, BLUE = png(seed=1), png(seed=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return make_tiny(folder / "text.gguf", window=2048), make_mmproj(folder / "eyes.gguf", text_width=WIDTH)


@pytest.fixture(params=["gemma3", "mlp"])
async def engine(request: pytest.FixtureRequest, files: tuple[Path, Path], tmp_path: Path) -> AsyncIterator[Engine]:
    eyes = make_mmproj(tmp_path / "eyes.gguf", text_width=WIDTH, kind=request.param)
    started = await Engine.start(load(files[0], projector=str(eyes)))
    yield started
    await started.close()


@pytest.fixture
async def gemma3(files: tuple[Path, Path]) -> AsyncIterator[Engine]:
    started = await Engine.start(load(files[0], projector=str(files[1])))
    yield started
    await started.close()


def ask(prompt: str, *images: bytes, new: int = 2, seed: int = -1) -> wire.Generate:
    sampling = SamplingOptions(temperature=0.0, seed=seed)
    common = {"id": 0, "owner": "a", "prompt": prompt, "max_tokens": new, "logprobs": 3}
    return wire.Generate(**common, sampling=sampling, images=images, mark=MARK)  # type: ignore[arg-type]


def mark(number: int = 0) -> str:
    return f"{MARK}{number}]"


async def probable(engine: Engine, command: wire.Generate) -> tuple[tuple[bytes, float], ...]:
    """The first token's probabilities."""
    async with aclosing(engine.generate(command)) as events:
        async for event in events:
            if isinstance(event, wire.Text) and event.logprobs:
                return event.logprobs[0].top
    raise AssertionError("no token")


async def test_the_positions_of_an_image_are_evaluated(gemma3: Engine) -> None:
    before = (await gemma3.statistics()).tokens_decoded
    _, end = await said(gemma3, ask(f"{STORY}{mark()} What is it?", RED, new=1))
    assert end.prompt_tokens == len(f"{STORY} What is it?") + AROUND + POSITIONS
    assert end.evaluated == end.prompt_tokens
    assert (await gemma3.statistics()).tokens_decoded - before == end.prompt_tokens


async def test_another_image_changes_the_logits(engine: Engine) -> None:
    prompt = f"See {mark()} here"
    red, blue, again = [await probable(engine, ask(prompt, each, seed=1)) for each in (RED, BLUE, RED)]
    assert red != blue
    assert red == again


async def test_the_same_image_and_text_is_a_prefix_hit(engine: Engine) -> None:
    _, cold = await said(engine, ask(f"{STORY}{mark()} What is it?", RED))
    _, warm = await said(engine, ask(f"{STORY}{mark()} What is it?", RED))
    assert (cold.cached, warm.reuse, warm.cached) == (0, "hit_ram", warm.prompt_tokens - 1)


async def test_another_image_is_no_hit_beyond_the_text_before_it(engine: Engine) -> None:
    _, cold = await said(engine, ask(f"{STORY}{mark()} What is it?", RED))
    _, other = await said(engine, ask(f"{STORY}{mark()} What is it?", BLUE))
    before = other.prompt_tokens - cold.prompt_tokens + other.cached
    assert len(STORY) <= before <= len(f"{STORY}<start_of_image>")


async def test_two_images_keep_their_order(engine: Engine) -> None:
    prompt = f"{mark(0)} or {mark(1)}?"
    first, second = [await probable(engine, ask(prompt, *images)) for images in ((RED, BLUE), (BLUE, RED))]
    turned = await probable(engine, ask(f"{mark(1)} or {mark(0)}?", BLUE, RED))
    assert first != second
    assert [text for text, _ in first] == [text for text, _ in turned]
    assert [p for _, p in first] == pytest.approx([p for _, p in turned], abs=1e-4)


async def test_an_image_at_the_end_is_evaluated_whole_again(engine: Engine) -> None:
    _, cold = await said(engine, ask(f"{STORY}{mark()}", RED))
    _, warm = await said(engine, ask(f"{STORY}{mark()}", RED))
    assert len(STORY) <= warm.cached < cold.prompt_tokens
    assert warm.cached + warm.evaluated == cold.prompt_tokens == warm.prompt_tokens


async def test_an_image_survives_the_worker_in_a_snapshot(files: tuple[Path, Path], tmp_path: Path) -> None:
    wanted = load(files[0], disk=tmp_path, projector=str(files[1]))
    engine = await Engine.start(wanted)
    fresh = await probable(engine, ask(f"{STORY}{mark()} What?", RED, new=1))
    await engine.close()
    again = await Engine.start(wanted)
    _, end = await said(again, ask(f"{STORY}{mark()} What?", RED, new=1))
    restored = await probable(again, ask(f"{STORY}{mark()} What?", RED, new=1))
    _, other = await said(again, ask(f"{STORY}{mark()} What?", BLUE, new=1))
    await again.close()
    assert (end.reuse, end.evaluated) == ("hit_disk", 1)
    assert [p for _, p in fresh] == pytest.approx([p for _, p in restored], abs=1e-3)
    assert other.cached < end.cached - POSITIONS


async def test_images_and_texts_are_answered_together(engine: Engine) -> None:
    asked = [ask(f"No. {i}: {mark()} and {mark(1)}!", RED, BLUE, new=8) for i in range(4)]
    asked += [ask(f"{i} {STORY}", new=24) for i in range(3)]
    alone = [await probable(engine, each) for each in asked]
    ends = await asyncio.gather(*(said(engine, each) for each in asked))
    together = [await probable(engine, each) for each in asked]
    assert all(end.completion_tokens > 0 for _, end in ends)
    assert [top[0][1] for top in alone] == pytest.approx([top[0][1] for top in together], abs=1e-2)


async def test_a_cancelled_image_leaves_the_worker_well(engine: Engine) -> None:
    command = ask(f"{STORY}{mark()} What is it?", RED, new=200)
    async with aclosing(engine.generate(command)) as events:
        assert isinstance(await anext(events), wire.Started)
    _, end = await said(engine, command)
    counters = await engine.statistics()
    assert end.prompt_tokens > len(STORY)
    assert (counters.running, counters.waiting) == (0, 0)


async def test_a_text_cannot_stand_for_an_image(gemma3: Engine) -> None:
    text = "<__media__> <image> [img] [img-0]"
    _, end = await said(gemma3, ask(f"{text}{mark()}", RED, new=1))
    assert end.prompt_tokens == len(text) + AROUND + POSITIONS


async def test_a_damaged_image_ends_its_request_alone(gemma3: Engine) -> None:
    with pytest.raises(RequestError, match="cannot be decoded"):
        await said(gemma3, ask(f"a {mark()}", RED[:60]))
    _, end = await said(gemma3, ask(f"a {mark()}", RED))
    assert end.completion_tokens > 0


async def test_a_context_holds_tokens_alone(gemma3: Engine) -> None:
    command = structs.replace(ask(f"a {mark()} b", RED, new=1), return_tokens=True)
    _, end = await said(gemma3, command)
    assert all(token >= 0 for token in end.tokens)
    _, more = await said(gemma3, structs.replace(ask(" c", new=1), context=end.tokens))
    assert more.prompt_tokens == len(end.tokens) + len(" c")


async def test_a_batch_too_small_for_an_image_is_named(files: tuple[Path, Path]) -> None:
    engine = await Engine.start(load(files[0], projector=str(files[1]), n_batch=8))
    with pytest.raises(RequestError, match=f"{POSITIONS} positions.* batch 8: raise N_BATCH"):
        await said(engine, ask(mark(), RED))
    await engine.close()


async def test_a_causal_image_may_be_larger_than_a_batch(files: tuple[Path, Path], tmp_path: Path) -> None:
    eyes = make_mmproj(tmp_path / "eyes.gguf", text_width=WIDTH, kind="mlp")
    engine = await Engine.start(load(files[0], projector=str(eyes), n_batch=24))
    _, end = await said(engine, ask(f"a {mark()} b", RED))
    await engine.close()
    assert end.evaluated == end.prompt_tokens > 60


async def test_without_a_projector_images_are_refused(files: tuple[Path, Path]) -> None:
    engine = await Engine.start(load(files[0]))
    with pytest.raises(Unsupported, match="images"):
        await said(engine, ask(mark(), RED))
    await engine.close()


async def test_a_projector_of_another_model_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    wrong = make_mmproj(tmp_path / "wrong.gguf", text_width=2 * WIDTH)
    with pytest.raises(LoadFailed, match=r"projector .*wrong\.gguf"):
        await Engine.start(load(files[0], projector=str(wrong)))
