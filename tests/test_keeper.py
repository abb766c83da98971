"""The keeper with real workers: every file of a model has its copy, and a bad copy costs a second load, no answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from fixtures.split_gguf import split
from fixtures.tiny_gguf import make_tiny
from fixtures.tiny_lora import make_lora
from hoshikage.engine.wire import Load
from hoshikage.errors import LoadFailed
from hoshikage.keeper import Keeper, sets_of
from hoshikage.settings import Settings
from tests.models.test_pool import load
from tests.program import ramdisk_of


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    environ = {"HOSHIKAGE_HOME": str(tmp_path), "RAMDISK_PATH": str(ramdisk_of(tmp_path))}
    made = Keeper(Settings.load(environ=environ, cwd=tmp_path))
    await made.open()
    yield made
    await made.close()
    assert not ramdisk_of(tmp_path).exists()


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    return split(make_tiny(tmp_path / "tiny.gguf"), 3)


async def mapped(keeper: Keeper, asked: Load) -> list[str]:
    """The GGUF files that a worker maps."""
    engine = await keeper.start(asked, 60)
    maps = Path(f"/proc/{engine.pid}/maps").read_text().splitlines()
    await engine.close()
    return sorted({line[line.index("/") :] for line in maps if line.endswith(".gguf")})


async def staged(keeper: Keeper, asked: Load) -> list[Path]:
    """The copies that the first load leaves."""
    await mapped(keeper, asked)
    while keeper.report().staging:
        pass
    folder = keeper.report().folder
    assert folder is not None
    return sorted(Path(folder).glob("models/*/*.gguf"))


async def test_all_parts_of_a_model_are_copied_and_mapped(keeper: Keeper, parts: list[Path]) -> None:
    asked = load(parts[0])
    copies = await staged(keeper, asked)
    assert [path.name for path in copies] == [path.name for path in parts]
    assert await mapped(keeper, asked) == [str(path) for path in copies]


async def test_adapters_and_the_draft_model_have_copies_too(keeper: Keeper, parts: list[Path], tmp_path: Path) -> None:
    lora, draft = make_lora(tmp_path / "lora.gguf"), make_tiny(tmp_path / "draft.gguf")
    asked = structs.replace(load(parts[0]), adapters=(str(lora),), draft_path=str(draft))
    assert {path.name for path in await staged(keeper, asked)} == {
        lora.name,
        draft.name,
        *(each.name for each in parts),
    }
    assert not [path for path in await mapped(keeper, asked) if Path(path).parent == tmp_path]


async def test_a_copy_that_cannot_be_loaded_is_replaced_by_the_original(keeper: Keeper, tmp_path: Path) -> None:
    path = make_tiny(tmp_path / "tiny.gguf")
    (copy,) = await staged(keeper, load(path))
    copy.write_bytes(bytes(path.stat().st_size))
    assert await mapped(keeper, load(path)) == [str(path)]


async def test_a_file_that_is_no_model_is_left_to_the_engine(keeper: Keeper, tmp_path: Path) -> None:
    path = tmp_path / "letter.gguf"
    path.write_text("Dear")
    assert sets_of(load(path)) == ()
    with pytest.raises(LoadFailed):
        await keeper.start(load(path), 60)
    assert keeper.report().copies == 0
