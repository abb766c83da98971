"""Which files of a repository are taken, by tables."""

import pytest

from hoshikage.errors import NoChoice
from hoshikage.models.hubs.hf_choice import Choice, File, choose, label_of

LABELS = {
    "Q4_K_M": ["m-Q4_K_M", "m.Q4_K_M", "m_q4_k_m", "m.i1-Q4_K_M", "Q4_K_M/m", "Q8_0/m-Q4_K_M", "F16-m-Q4_K_M"],
    "UD-Q4_K_XL": ["m-UD-Q4_K_XL", "UD-Q4_K_XL/m"],
    "IQ4_XS": ["m-iq4_xs"],
    "F16": ["m-F16", "m.fp16"],
    "BF16": ["m-bf16"],
    "MXFP4": ["m-MXFP4_MOE", "m-mxfp4"],
    "Q4_0_4_4": ["m-Q4_0_4_4"],
    "TQ1_0": ["m-TQ1_0"],
    "Q6_K": ["m-Q6_K"],
    "": ["model", "qwen3.6-35b", "xQ8_0", "m-F160"],
}


def files(*paths: str) -> list[File]:
    return [File(path=path, size=1, digest="a" * 64) for path in paths]


def chosen(*paths: str, wanted: str = "") -> Choice:
    return choose("org/repo", files(*paths), wanted)


@pytest.mark.parametrize(("label", "path"), [(label, path) for label, paths in LABELS.items() for path in paths])
def test_a_name_carries_its_quantisation_as_a_whole_word(label: str, path: str) -> None:
    assert label_of(path) == label


MEANT = [
    # wanted, what there is, what is taken
    ("q4_k_m", "m-Q4_K_S.gguf m-Q4_K_M.gguf m-UD-Q4_K_M.gguf", "m-Q4_K_M.gguf"),
    ("Q4_K", "m-Q4_K_M.gguf m-Q4_K.gguf", "m-Q4_K.gguf"),
    ("Q4_K_XL", "m-UD-Q4_K_XL.gguf m-Q4_K_M.gguf", "m-UD-Q4_K_XL.gguf"),
    ("ud-q4_k_xl", "m-UD-Q4_K_XL.gguf m-Q4_K_XL.gguf", "m-UD-Q4_K_XL.gguf"),
    ("F16", "m-BF16.gguf m-fp16.gguf", "m-fp16.gguf"),
    ("Q8_0", "Q8_0/m.gguf Q4_0/m.gguf", "Q8_0/m.gguf"),
    ("it", "gemma-it.gguf gemma-pt.gguf", "gemma-it.gguf"),
    ("M-q8_0.GGUF", "a/m-Q8_0.gguf m-Q4_0.gguf", "a/m-Q8_0.gguf"),
    ("m.gguf", "m.gguf a/m.gguf", "m.gguf"),
    ("a/m.gguf", "m.gguf a/m.gguf", "a/m.gguf"),
    ("", "m-Q8_0.gguf m-Q4_K_M.gguf m-Q2_K.gguf", "m-Q4_K_M.gguf"),
    ("", "m-Q8_0.gguf m-Q4_K_S.gguf", "m-Q4_K_S.gguf"),
    ("", "m-IQ4_XS.gguf m-Q5_K_M.gguf", "m-IQ4_XS.gguf"),
    ("", "m-Q6_K.gguf m-Q5_K_M.gguf", "m-Q5_K_M.gguf"),
    ("", "m-F16.gguf m-Q3_K_M.gguf", "m-Q3_K_M.gguf"),
    ("", "m-F32.gguf m-Q2_K.gguf m-IQ2_M.gguf m-IQ1_S.gguf", "m-F32.gguf"),
    ("", "m.gguf m-IQ2_M.gguf", "m.gguf"),
    ("", "m-IQ1_S.gguf m-UD-Q2_K_XL.gguf", "m-UD-Q2_K_XL.gguf"),
    ("", "m.gguf README.md", "m.gguf"),
    ("", "lora-Q4_K_M.gguf m-Q8_0.gguf", "lora-Q4_K_M.gguf"),
    ("", "m-lora.gguf adapter-Q4_K_M.gguf imatrix.gguf m-imatrix-Q4_K_M.gguf mmproj-Q4_K_M.gguf m.gguf", "m.gguf"),
    ("", "m-Q4_K_M-00002-of-00002.gguf m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00001-of-00002.gguf"),
    (
        "m-Q8_0-00002-of-00002.gguf",
        "m-Q8_0-00001-of-00002.gguf m-Q8_0-00002-of-00002.gguf",
        "m-Q8_0-00001-of-00002.gguf",
    ),
]


@pytest.mark.parametrize(("wanted", "there", "taken"), MEANT)
def test_what_is_wanted_means_one_file(wanted: str, there: str, taken: str) -> None:
    assert chosen(*there.split(), wanted=wanted).files[0].path == taken


REFUSED = [
    ("Q5_K_M", "m-Q4_K_M.gguf m-Q8_0.gguf o.gguf", "nothing there is Q5_K_M; there are Q4_K_M, Q8_0, o.gguf"),
    ("Q4_K_M", "a-Q4_K_M.gguf b-Q4_K_M.gguf", "may be any of a-Q4_K_M.gguf, b-Q4_K_M.gguf; name the file"),
    ("x.gguf", "m.gguf", "nothing there is x.gguf"),
    ("mmproj-F16.gguf", "m.gguf mmproj-F16.gguf", "nothing there is mmproj"),
    ("m.gguf", "a/m.gguf b/m.gguf", "may be any of a/m.gguf, b/m.gguf"),
    ("", "a.gguf b.gguf", "no file is named, and there are a.gguf, b.gguf"),
    ("", "m-Q4_K_M-00001-of-00003.gguf m-Q4_K_M-00003-of-00003.gguf", "of the 3 parts of m-Q4_K_M it lacks 00002"),
    ("", "model-00001-of-00002.safetensors", "only the original weights"),
    ("", "README.md", "holds no GGUF file"),
    ("", "mmproj-F16.gguf", "projectors, adapters or importance matrices"),
    ("", "m-Q4_K_M-99999-of-99999.gguf", "of the 99999 parts"),
]


@pytest.mark.parametrize(("wanted", "there", "reason"), REFUSED)
def test_what_is_not_clear_is_refused_with_what_there_is(wanted: str, there: str, reason: str) -> None:
    with pytest.raises(NoChoice, match=reason) as raised:
        chosen(*there.split(), wanted=wanted)
    assert len(str(raised.value)) < 1000


def test_all_shards_are_taken_in_their_order() -> None:
    shards = [f"Q4_K_M/m-{number:05}-of-00003.gguf" for number in (3, 1, 2)]
    assert [file.path for file in chosen(*shards).files] == sorted(shards)


PROJECTORS = [
    ("mmproj-F32.gguf mmproj-Q8_0.gguf mmproj-BF16.gguf mmproj-F16.gguf", "mmproj-F16.gguf"),
    ("mmproj-F32.gguf mmproj-Q8_0.gguf mmproj-BF16.gguf", "mmproj-BF16.gguf"),
    ("mmproj-F32.gguf mmproj-Q8_0.gguf", "mmproj-Q8_0.gguf"),
    ("mmproj-model.gguf mmproj-F32.gguf", "mmproj-F32.gguf"),
    ("mmproj-F16.gguf sub/mmproj-F32.gguf", "sub/mmproj-F32.gguf"),
    ("other/mmproj-F16.gguf", None),
    ("", None),
]


@pytest.mark.parametrize(("there", "taken"), PROJECTORS)
def test_the_nearest_projector_comes_along(there: str, taken: str | None) -> None:
    projector = chosen("sub/m-Q4_K_M.gguf", *there.split()).projector
    assert (projector and projector.path) == taken


def test_a_choice_that_was_not_asked_for_is_said() -> None:
    assert chosen("m-Q4_K_M.gguf", "m-Q8_0.gguf").said == ()
    assert chosen("m-Q8_0.gguf", "m-F16.gguf").said == ("chose Q8_0: no Q4_K_M here; there are F16, Q8_0",)
    assert chosen("m-Q8_0.gguf", "m-F16.gguf", wanted="F16").said == ()
    assert chosen("m.gguf").said == ("chose m.gguf: no Q4_K_M here; it is the only one",)
    assert chosen("m-Q4_K_M.gguf", "mmproj.gguf").said == ("with the projector mmproj.gguf",)
