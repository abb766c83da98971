"""`hoshikage create`, as a program."""

import subprocess
import sys
from pathlib import Path

from fixtures.tiny_gguf import make_tiny
from tests.program import environment, hoshikage

MODELFILE = '''# a comment
FROM ./tiny.gguf
SYSTEM """You are
brief."""
PARAMETER num_ctx 128
PARAMETER mirostat 2
TEMPLATE {{ .System }}|{{ .Prompt }}|
'''


def test_a_model_is_made_from_a_modelfile_beside_its_weights(tmp_path: Path) -> None:
    make_tiny(tmp_path / "tiny.gguf")
    (tmp_path / "Modelfile").write_text(MODELFILE)
    home = tmp_path / "home"
    done = hoshikage(home, "create", "mine", "-f", str(tmp_path / "Modelfile"))
    assert (done.returncode, "✅ モデル 'mine' を作成しました。" in done.stdout) == (0, True)
    assert "parameter mirostat is deprecated" in done.stderr
    shown = hoshikage(home, "show", "mine", "--modelfile").stdout
    assert f"FROM {tmp_path / 'tiny.gguf'}" in shown
    assert 'SYSTEM "You are\nbrief."' in shown
    assert "TEMPLATE {{ .System }}|{{ .Prompt }}|" in shown
    assert not (home / "blobs").exists()


def test_what_show_prints_can_be_created_from(tmp_path: Path) -> None:
    make_tiny(tmp_path / "tiny.gguf")
    (tmp_path / "Modelfile").write_text(MODELFILE)
    home = tmp_path / "home"
    hoshikage(home, "create", "mine", "-f", str(tmp_path / "Modelfile"))
    (tmp_path / "Second").write_text(hoshikage(home, "show", "mine", "--modelfile").stdout)
    assert hoshikage(home, "create", "second", "-f", str(tmp_path / "Second")).returncode == 0
    one, two = (hoshikage(home, "show", name, "--modelfile").stdout.splitlines()[4:] for name in ("mine", "second"))
    assert one == two


def test_quantizing_tells_how_far_it_is(tmp_path: Path) -> None:
    make_tiny(tmp_path / "tiny.gguf")
    (tmp_path / "Modelfile").write_text("FROM tiny.gguf\n")
    home = tmp_path / "home"
    done = hoshikage(home, "create", "small", "-f", str(tmp_path / "Modelfile"), "--quantize", "q8_0")
    assert (done.returncode, "quantizing F32 model to Q8_0" in done.stderr) == (0, True)
    assert "Q8_0" in hoshikage(home, "show", "small").stdout


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    home, modelfile = tmp_path / "home", tmp_path / "Modelfile"
    missing = hoshikage(home, "create", "x", "-f", str(modelfile))
    modelfile.write_text("FROM x\nPARAMETER top_k many\n")
    wrong = hoshikage(home, "create", "x", "-f", str(modelfile))
    assert (missing.returncode, wrong.returncode) == (1, 1)
    assert missing.stderr.strip() == f"❌ no Modelfile found: {modelfile}"
    assert "invalid int value [many]" in wrong.stderr


def test_a_modelfile_may_come_through_a_pipe_and_jinja_is_told_from_go(tmp_path: Path) -> None:
    tiny, home = make_tiny(tmp_path / "tiny.gguf"), tmp_path / "home"
    command = [sys.executable, "-m", "hoshikage", "create", "piped", "-f", "-"]
    for text, code in ((f"FROM {tiny}\n", 0), (f"FROM {tiny}\nTEMPLATE {{% for m in messages %}}{{{{ 'x' }}}}\n", 1)):
        done = subprocess.run(command, input=text, env=environment(home), capture_output=True, text=True, check=False)
        assert done.returncode == code
    assert "this is Jinja; leave TEMPLATE out" in done.stderr
    assert "piped" in hoshikage(home, "list").stdout
