"""The real quantizer in its process: every kind, progress, cancelling, a full disk, and processes that are killed."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import psutil
import pytest

from fixtures.split_gguf import split
from fixtures.tiny_gguf import make_tiny
from hoshikage.engine.client import Engine
from hoshikage.engine.llama.binding import C
from hoshikage.engine.quantize import KINDS, PARTIAL, quantize
from hoshikage.errors import QuantizeFailed, RequestError
from hoshikage.models.gguf import read_header
from tests.engine.test_engine import ask, load, said

MB = 1_000_000
SLOW = "IQ4_XS"
PROGRAM = """
import sys
from pathlib import Path
from hoshikage.engine.quantize import quantize

for done, _ in quantize(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]):
    print(done, flush=True)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("source") / "tiny.gguf", width=256)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """86 MB, of which SLOW makes work for seconds."""
    return make_tiny(tmp_path_factory.mktemp("source") / "large.gguf", width=1024)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.gguf"


def quantizer(pid: int) -> psutil.Process:
    """The child of the process that quantizes."""
    (found,) = (each for each in psutil.Process(pid).children() if "hoshikage.engine.llama.quantizer" in each.cmdline())
    return found


def none_is_left(folder: Path) -> bool:
    running = [each for each in psutil.Process().children() if "quantizer" in " ".join(each.cmdline())]
    return not running and not list(folder.iterdir())


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """As on a full disk: children can write no more than `size` bytes to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_of_the_result_names_its_kind(tiny: Path, target: Path, kind: str) -> None:
    figures, size = list(quantize(tiny, target, kind.lower())), tiny.stat().st_size
    assert (figures[0], figures[-1]) == ((0, size), (size, size))
    assert figures == sorted(figures)
    assert read_header(target).file_type == {"Q4_K": "Q4_K_M"}.get(kind, kind)
    assert list(target.parent.iterdir()) == [target]


def test_progress_is_the_bytes_of_the_tensors_before_each(tiny: Path, target: Path) -> None:
    sizes = {tensor.name: tensor.size for tensor in read_header(tiny).tensors}
    told = {done for done, _ in quantize(tiny, target, "Q8_0")}
    assert len(told) == len(sizes) + 1
    assert {0, sizes["output.weight"], sum(sizes.values()) - sizes["blk.1.ffn_up.weight"]} < told


def test_the_kinds_are_llama_cpps() -> None:
    names = {kind: f"MOSTLY_{kind}" for kind in KINDS} | {"F32": "ALL_F32", "Q4_K": "MOSTLY_Q4_K_M"}
    assert {kind: getattr(C, f"LLAMA_FTYPE_{name}") for kind, name in names.items()} == KINDS


@pytest.mark.parametrize("half", [False, True])
async def test_the_result_answers_and_is_smaller(tmp_path: Path, target: Path, half: bool) -> None:
    source = make_tiny(tmp_path / "source.gguf", width=256, half=half, window=4096)
    *_, _ = quantize(source, target, "Q4_K_M")
    assert target.stat().st_size < source.stat().st_size / (3 if half else 6)
    engine = await Engine.start(load(target))
    _, end = await said(engine, ask("x", new=4))
    await engine.close()
    assert end.completion_tokens == 4


def test_a_model_in_several_files_becomes_one(tmp_path: Path, tiny: Path, target: Path) -> None:
    parts = split(make_tiny(tmp_path / "tiny.gguf", width=256), 3)
    *_, last = quantize(parts[0], target, "Q8_0")
    header = read_header(target)
    assert last == (sum(part.stat().st_size for part in parts),) * 2
    assert header.parameter_count == read_header(tiny).parameter_count
    assert not [key for key in header.metadata if key.startswith("split.")]


def test_an_unknown_kind_is_refused_at_once_in_ollamas_words(tiny: Path, target: Path) -> None:
    words = "unsupported quantization type Q9 - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0"
    with pytest.raises(RequestError, match=words):
        quantize(tiny, target, "q9")


def test_a_quantized_source_is_refused_with_llama_cpps_reason(tiny: Path, target: Path) -> None:
    *_, _ = quantize(tiny, target, "Q4_0")
    with pytest.raises(QuantizeFailed, match=r"requantizing from type q\d_. is disabled"):
        list(quantize(target, target.with_name("again.gguf"), "Q8_0"))
    assert list(target.parent.iterdir()) == [target]


def test_closing_in_the_middle_leaves_nothing(large: Path, target: Path) -> None:
    figures = quantize(large, target, SLOW)
    done, total = next(each for each in figures if each[0])
    figures.close()
    assert done < total == large.stat().st_size
    assert none_is_left(target.parent)


def test_closing_before_the_first_tensor_leaves_nothing(large: Path, target: Path) -> None:
    figures = quantize(large, target, SLOW)
    next(figures)
    figures.close()
    assert none_is_left(target.parent)


def test_figures_are_repeated_while_a_tensor_takes_long(large: Path, target: Path) -> None:
    """A stopped process does nothing at all, and yet the generator can be closed."""
    figures = quantize(large, target, SLOW)
    last = next(each for each in figures if each[0] >= 1)
    quantizer(os.getpid()).suspend()
    while (again := next(figures)) != last:
        last = again
    figures.close()
    assert none_is_left(target.parent)


def test_a_full_disk_is_said_and_leaves_nothing(tiny: Path, target: Path) -> None:
    with files_up_to(MB), pytest.raises(QuantizeFailed, match="File too large"):
        list(quantize(tiny, target, "Q8_0"))
    assert none_is_left(target.parent)


def test_a_killed_process_is_said_and_leaves_nothing(large: Path, target: Path) -> None:
    figures = quantize(large, target, SLOW)
    next(each for each in figures if each[0] >= 1)
    quantizer(os.getpid()).kill()
    with pytest.raises(QuantizeFailed, match="its process was ended by SIGKILL"):
        list(figures)
    assert none_is_left(target.parent)


def test_what_stood_there_before_is_kept_until_the_new_one_is_done(large: Path, target: Path) -> None:
    target.write_bytes(b"old")
    figures = quantize(large, target, SLOW)
    next(each for each in figures if each[0] >= 1)
    figures.close()
    assert target.read_bytes() == b"old"


@contextmanager
def other_program(source: Path, target: Path) -> Iterator["subprocess.Popen[str]"]:
    """A program that quantizes and has begun; it is killed in the end."""
    command = [sys.executable, "-c", PROGRAM, str(source), str(target), SLOW]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        next(line for line in parent.stdout if int(line) >= 1)
        try:
            yield parent
        finally:
            parent.send_signal(signal.SIGKILL)


def test_the_quantizer_dies_with_its_parent_and_takes_its_file_along(large: Path, target: Path) -> None:
    with other_program(large, target) as parent:
        child = quantizer(parent.pid)
    child.wait(20)
    assert none_is_left(target.parent)


def test_what_both_left_that_were_killed_is_swept_by_the_next_one(large: Path, tiny: Path, target: Path) -> None:
    with other_program(large, target) as parent:
        child = quantizer(parent.pid)
        parent.send_signal(signal.SIGSTOP)
        child.kill()
    assert [path.suffix for path in target.parent.iterdir()] == [PARTIAL]
    *_, _ = quantize(tiny, target, "Q8_0")
    assert list(target.parent.iterdir()) == [target]


def test_a_sweep_spares_what_another_one_is_writing(large: Path, tiny: Path, target: Path) -> None:
    figures = quantize(large, target, "Q8_0")
    next(each for each in figures if each[0] >= 1)
    *_, _ = quantize(tiny, target.with_name("other.gguf"), "Q8_0")
    assert list(figures)[-1] == (large.stat().st_size,) * 2
    assert {path.name for path in target.parent.iterdir()} == {"target.gguf", "other.gguf"}


def test_a_folder_that_is_not_there_is_named(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(QuantizeFailed, match=r"none/t\.gguf: No such file or directory"):
        list(quantize(tiny, tmp_path / "none" / "t.gguf", "Q8_0"))


def test_a_source_that_is_not_there_is_named(tiny: Path, target: Path) -> None:
    for name in ("none.gguf", "none-00001-of-00002.gguf"):
        with pytest.raises(QuantizeFailed, match=f"{name}: No such file or directory"):
            list(quantize(tiny.with_name(name), target, "Q8_0"))
    assert none_is_left(target.parent)


def test_an_assertion_inside_llama_cpp_is_said(tiny: Path, target: Path) -> None:
    """It has no room for a thousand layers and ends its process."""
    odd, key = target.with_name("odd.gguf"), b"llama.block_count" + gguf.GGUFValueType.UINT32.to_bytes(4, "little")
    before, after = tiny.read_bytes().split(key)
    odd.write_bytes(before + key + (1000).to_bytes(4, "little") + after[4:])
    with pytest.raises(QuantizeFailed, match="GGML_ASSERT"):
        list(quantize(odd, target, "Q8_0"))
    assert list(target.parent.iterdir()) == [odd]
