"""The sections of `show` and the timings of `run`, in Ollama's words."""

import pytest

from hoshikage.cli.human import printable
from hoshikage.cli.ps import processor
from hoshikage.cli.sections import sections, valued
from hoshikage.cli.timings import Timings, summary
from hoshikage.models.gguf import Array
from hoshikage.models.show import Shown
from hoshikage.models.tags import ModelDetails

DETAILS = ModelDetails(
    parent_model="", format="gguf", family="llama", families=("llama",), parameter_size="7B", quantization_level="F16"
)


def model(**fields: object) -> Shown:
    empty: dict[str, object] = dict.fromkeys(Shown.__struct_fields__, "")
    return Shown(**{**empty, "details": DETAILS, "model_info": {}, **fields})  # type: ignore[arg-type]


def test_a_model_without_more_has_one_section() -> None:
    said = "  Model\n    architecture    llama\n    parameters      7B   \n    quantization    F16  \n\n"
    assert sections(model(), verbose=True) == said


def test_a_projector_is_described() -> None:
    info: dict[str, object] = {
        "general.architecture": "clip",
        "general.parameter_count": 133_700_000,
        "clip.vision.embedding_length": 1024,
        "clip.vision.projection_dim": 768,
    }
    rows = sections(model(projector_info=info), verbose=False).partition("  Projector\n")[2].splitlines()
    assert [row.split() for row in rows if row] == [
        ["architecture", "clip"],
        ["parameters", "133.70M"],
        ["embedding", "length", "1024"],
        ["dimensions", "768"],
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (1_048_576, "1.048576e+06"),
        (0.5, "0.5"),
        ("text", "text"),
        ((), "[]"),
        ([1, 2, 3], "[1 2 3]"),
        (list(range(10, 30)), "[10 11 ...+18 more]"),
        (["a long first element", "b"], "[a long first element ...+1 more]"),
        (Array(type="int32", length=9), "[...+9 more]"),
    ],
)
def test_metadata_is_written_as_go_writes_it_and_arrays_are_cut(value: object, written: str) -> None:
    assert valued(value) == written


@pytest.mark.parametrize(
    ("size", "vram", "words"),
    [
        (10, 0, "100% CPU"),
        (10, 10, "100% GPU"),
        (1000, 516, "48%/52% CPU/GPU"),
        (10, 11, "Unknown"),
        (0, 0, "100% CPU"),
    ],
)
def test_where_a_model_computes(size: int, vram: int, words: str) -> None:
    assert processor(size, vram) == words


def test_timings_have_ollamas_lines_and_leave_out_what_is_zero() -> None:
    timings = Timings(total_duration=1_500_000_000, prompt_eval_count=10, eval_count=3, eval_duration=2 * 10**9)
    assert summary(timings) == (
        "total duration:       1.5s\n"
        "prompt eval count:    10 token(s)\n"
        "eval count:           3 token(s)\n"
        "eval duration:        2s\n"
        "eval rate:            1.50 tokens/s\n"
    )


def test_what_moves_a_cursor_is_escaped() -> None:
    assert printable("日本\x1b[2J\n\u202e") == "日本\\x1b[2J\\n\\u202e"
