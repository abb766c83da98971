"""A model in several files in the real engine: the same model as in one, and its snapshots hang on all of them."""

import shutil
from pathlib import Path

from fixtures.split_gguf import split
from fixtures.tiny_gguf import make_tiny
from hoshikage.engine.client import Engine
from hoshikage.engine.fingerprint import fingerprint
from tests.engine.driver import cold, opened
from tests.engine.test_engine import said
from tests.engine.test_reuse import STORY, ask, load

TOLD = list(range(3, 43))


def test_the_parts_give_the_logits_of_the_whole_file(tmp_path: Path) -> None:
    path = make_tiny(tmp_path / "tiny.gguf")
    parts = split(path, 4)
    one, several = opened(path), opened(parts[0])
    logits = [cold(model, TOLD, [40], 40, [7]).tolist() for model in (one, several)]
    assert logits[0] == logits[1]
    assert (one.files, several.files) == ((path,), tuple(parts))
    one.close()
    several.close()


def test_a_change_in_any_part_is_another_model(tmp_path: Path) -> None:
    parts = split(make_tiny(tmp_path / "tiny.gguf"), 3)
    seen = {fingerprint(parts)}
    for part in parts:
        data = bytearray(part.read_bytes())
        data[-64] ^= 1
        part.write_bytes(data)
        seen.add(fingerprint(parts))
    assert len(seen) == 4


async def test_a_model_with_another_second_part_takes_no_snapshot_of_the_first(tmp_path: Path) -> None:
    parts = split(make_tiny(tmp_path / "a.gguf", window=4096), 3)
    others = split(make_tiny(tmp_path / "b.gguf", window=4096, seed=1), 3)
    found = []
    for _ in range(2):
        engine = await Engine.start(load(parts[0], tmp_path / "ram"))
        found.append((await said(engine, ask(STORY, new=2)))[1].cached > 0)
        await engine.close()
    shutil.copyfile(others[1], parts[1])
    engine = await Engine.start(load(parts[0], tmp_path / "ram"))
    _, end = await said(engine, ask(STORY, new=2))
    await engine.close()
    assert (found, end.cached) == ([False, True], 0)
