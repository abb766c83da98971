"""What /api/show tells of an entry with all layers."""

import math
import struct
from pathlib import Path

import msgspec
import pytest

from fixtures.tiny_gguf import CHATML, make_tiny
from hoshikage.conversation import Message
from hoshikage.models.entry import Entry, Stored, checked
from hoshikage.models.gguf import Header
from hoshikage.models.modelfile import parse
from hoshikage.models.show import NO_TEMPLATE, Shown, info, shown

ORDER = "license modelfile parameters template system details messages model_info tensors capabilities modified_at"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "tiny.gguf")


def entry(file: Path, **fields: object) -> Entry:
    return Entry(name="x", file=file, stored=Stored(path=str(file), **fields))  # type: ignore[arg-type]


def keys(found: Shown) -> list[str]:
    return list(msgspec.json.decode(msgspec.json.encode(found)))


def test_the_keys_come_in_the_contracts_order_and_empty_ones_are_left_out(tiny: Path) -> None:
    full = entry(
        tiny,
        license=("A", "B"),
        parameters={"top_k": 1},
        system="S",
        messages=(Message(role="user", content="hi"),),
        requires="0.1.0",
        projectors=(str(tiny),),
    )
    wanted = [*ORDER.split()[:8], "projector_info", *ORDER.split()[8:], "requires"]
    assert [key for key in keys(shown(full)) if key != "capabilities"] == [k for k in wanted if k != "capabilities"]
    plain = {"modelfile", "template", "details", "model_info", "tensors", "modified_at"}
    assert set(keys(shown(entry(tiny)))) == plain


def test_the_models_own_template_comes_before_the_files(tiny: Path, tmp_path: Path) -> None:
    bare = make_tiny(tmp_path / "bare.gguf", chat_template=None)
    assert shown(entry(tiny, template="{{ .System }}")).template == "{{ .System }}"
    assert shown(entry(tiny)).template == CHATML
    assert shown(entry(bare)).template == NO_TEMPLATE


def test_the_modelfile_makes_the_same_model_again(tiny: Path) -> None:
    layers: dict[str, object] = {
        "template": "{{ .Prompt }}\n",
        "system": 'say "hi"',
        "stop": ("a", "b c"),
        "parameters": {"temperature": 0.5, "num_ctx": 4096},
        "messages": (Message(role="user", content="hi"), Message(role="assistant", content="yes")),
        "license": ("MIT\nand so on",),
        "adapters": ("/a.gguf",),
        "projectors": ("/p.gguf",),
        "draft": "/d.gguf",
        "requires": "0.5.0",
    }
    projector = entry(tiny, **{**layers, "projectors": (str(tiny),)})
    found = parse(shown(projector).modelfile)
    assert found.from_ == (str(tiny), str(tiny))
    assert (found.template, found.system, found.adapters, found.drafts) == (
        *("{{ .Prompt }}\n", 'say "hi"', ("/a.gguf",), ("/d.gguf",)),
    )
    assert found.parameters == {"stop": ["a", "b c"], "temperature": 0.5, "num_ctx": 4096}
    assert (found.messages, found.licenses, found.requires) == (layers["messages"], layers["license"], "0.5.0")


def test_the_jinja_template_of_the_file_is_no_line_of_the_modelfile(tiny: Path) -> None:
    found = shown(entry(tiny))
    assert (found.template, parse(found.modelfile).template) == (CHATML, None)


def test_an_overlay_changes_the_system_and_in_the_modelfile_the_parameters(tiny: Path) -> None:
    found = shown(entry(tiny, system="old", parameters={"top_k": 1}), system="new", options={"top_k": 2})
    made = parse(found.modelfile)
    assert (found.system, made.system, made.parameters) == ("new", "new", {"top_k": 2})
    assert str(found.parameters).split() == ["top_k", "1"]


def test_arrays_are_null_until_they_are_asked_for(tiny: Path) -> None:
    model = entry(tiny, projectors=(str(tiny),))
    brief, full = shown(model), shown(model, verbose=True)
    for found, kind in ((brief, type(None)), (full, list)):
        assert isinstance(found.model_info["tokenizer.ggml.tokens"], kind)
        assert found.projector_info
        assert isinstance(found.projector_info["tokenizer.ggml.tokens"], kind)
    assert "general.name" not in brief.model_info
    assert list(brief.model_info) == sorted(brief.model_info)


def test_the_license_layers_come_before_the_files_and_the_parent_is_told(tiny: Path) -> None:
    found = shown(entry(tiny, license=("A", "B"), parent="base:latest"))
    assert (found.license, found.details.parent_model) == ("A\nB", "base:latest")


JINJA = "{{ messages }}{{ tools }}<think></think>"
GO = "{{ range .Messages }}<t>{{ .Thinking }}</t>{{ end }}{{ .Tools }}{{ .Suffix }}"


def test_capabilities_come_in_the_order_in_which_ollama_finds_them(tiny: Path, tmp_path: Path) -> None:
    able = make_tiny(tmp_path / "able.gguf", chat_template=JINJA)
    native = Stored(path=str(able), projectors=(str(tiny),), facts=checked(Stored(path=str(able))))
    found = shown(Entry(name="x", file=able, stored=native))
    assert (found.template, found.capabilities) == (JINJA, ("tools", "thinking", "completion", "vision"))
    plain = Stored(path=str(tiny), projectors=(str(able),), facts=checked(Stored(path=str(tiny))), template=GO)
    found = shown(Entry(name="x", file=tiny, stored=plain))
    assert (found.template, found.capabilities) == (GO, ("completion", "vision", "tools", "insert", "thinking"))


def test_without_go_templates_the_files_own_is_told(tiny: Path) -> None:
    assert shown(entry(tiny, template="{{ .Prompt }}"), go_template=False).template == CHATML


def test_floats_of_the_header_have_the_digits_of_32_bits(tiny: Path) -> None:
    assert shown(entry(tiny)).model_info["llama.attention.layer_norm_rms_epsilon"] == 1e-5
    single = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    given = {"a": single, "b": 10000.0, "c": [single, -3.0], "d": 0.1 + 2**-40, "e": math.inf}
    found = info(Header(3, given, (), 0), 1, verbose=True)
    assert repr([found[key] for key in "abcde"]) == repr([0.1, 10000, [0.1, -3], 0.1 + 2**-40, math.inf])
