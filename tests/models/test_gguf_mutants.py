"""Ten thousand damaged headers: each is answered, and what is let through does not end llama.cpp's process."""

import json
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.tiny_gguf import make_tiny
from hoshikage.errors import NotGguf
from hoshikage.models.gguf import read_header
from tests.models.mutants import ARRAY, STRING, Key, Parts, mutant, put_together, taken_apart, text

MUTANTS = 10_000
SAMPLE = 150
CONTAINED = ("id_to_token.size() == token_to_id.size()", "unordered_map::at")
"""What still ends a worker, and only that: two tokens with the same text, and a SentencePiece vocabulary without bytes.
To refuse these, every token would have to be looked at, each time a header is read."""


def run(program: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", f"tests.models.{program}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=110, stdin=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def answers(tiny: Path) -> dict[str, Any]:
    """What the reader said to each mutant, in a process with 128 MB to spare."""
    return run("mutant_reader", tiny, tiny.parent, MUTANTS)


@pytest.fixture(scope="module")
def parts(tiny: Path) -> Parts:
    return taken_apart(tiny.read_bytes())


def test_every_mutant_is_accepted_or_refused_at_once(answers: dict[str, Any]) -> None:
    found: dict[str, int] = answers["found"]
    sys.stdout.write("".join(f"{count:6} {what}\n" for what, count in sorted(found.items())))
    assert {what.split()[1] for what in found} == {"accepted", "refused"}
    assert sum(found.values()) - found["truncated refused"] == MUTANTS
    assert "truncated accepted" not in found
    assert answers["slow"] == []


def test_what_is_accepted_does_not_end_the_engine(answers: dict[str, Any], parts: Parts, tmp_path: Path) -> None:
    for number in random.Random(0).sample(answers["accepted"], SAMPLE):
        kind, data = mutant(parts, number)
        (tmp_path / f"{kind}-{number}.gguf").write_bytes(data)
    ends = run("mutant_engine", *sorted(tmp_path.glob("*.gguf")))
    crashed = {Path(path).stem: end for path, end in ends.items() if end not in {"loaded", "refused"}}
    sys.stdout.write(f"{crashed}\n")
    assert not [end for end in crashed.values() if not any(words in end for words in CONTAINED)]
    assert {"loaded", "refused"} <= set(ends.values())


def number(name: bytes, form: str, value: float) -> Key:
    return Key(b"llama." + name, {"I": 4, "f": 6}[form], struct.pack("<" + form, value))


USED = Key(b"llama.expert_used_count", ARRAY, struct.pack("<IQII", 4, 2, 0, 3))
FATAL = {
    "block_count is 0": number(b"block_count", "I", 0),
    "block_count is 513": number(b"block_count", "I", 513),
    "layer_norm_rms_epsilon is -1.0": number(b"attention.layer_norm_rms_epsilon", "f", -1.0),
    "layer_norm_rms_epsilon is nan": number(b"attention.layer_norm_rms_epsilon", "f", float("nan")),
    "expert_used_count is 0 of 1025 experts": number(b"expert_count", "I", 1025),
    "expert_used_count is 0 of 2 experts": number(b"expert_count", "I", 2),
    "expert_used_count is 1 of 0 experts": number(b"expert_used_count", "I", 1),
    "expert_used_count is [0, 3] of 0 experts": USED,
    "not a multiple of 32": Key(b"general.alignment", 4, struct.pack("<I", 8)),
}


ODD = {
    "ffn_norm.weight has the type I32": ("blk.1.ffn_norm.weight", 26),
    "ffn_norm.weight has the type Q8_0": ("blk.1.ffn_norm.weight", 8),
    "ffn_down.weight has the type I32": ("blk.1.ffn_down.weight", 26),
    "token_embd.weight has the type I32": ("token_embd.weight", 26),
}


def with_value(parts: Parts, key: Key) -> bytes:
    return put_together(parts._replace(keys=(*(each for each in parts.keys if each.name != key.name), key)))


def with_type(parts: Parts, name: str, kind: int) -> bytes:
    tensors = (each._replace(kind=kind) if each.name == name.encode() else each for each in parts.tensors)
    return put_together(parts._replace(tensors=tuple(tensors)))


def test_headers_that_would_end_the_engine_are_refused(parts: Parts, tmp_path: Path) -> None:
    fatal = {reason: with_value(parts, key) for reason, key in FATAL.items()}
    fatal |= {reason: with_type(parts, *odd) for reason, odd in ODD.items()}
    files = [tmp_path / f"{at}.gguf" for at in range(len(fatal))]
    for path, (reason, data) in zip(files, fatal.items(), strict=True):
        path.write_bytes(data)
        with pytest.raises(NotGguf) as caught:
            read_header(path)
        assert reason in str(caught.value)
    assert all(end.startswith("SIG") for end in run("mutant_engine", *files).values())


def test_a_missing_byte_vocabulary_still_ends_the_engine(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "spm.gguf"
    path.write_bytes(with_value(parts, Key(b"tokenizer.ggml.model", STRING, text(b"llama"))))
    read_header(path)
    (end,) = run("mutant_engine", path).values()
    assert CONTAINED[1] in end
