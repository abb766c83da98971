"""A server with all that the larger clients ask for, and how to see that it has stopped generating."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.program import Program, hoshikage, serve

LIMIT_SECONDS = 20
THOUGHT = """{{ if .Thinking }}<think>
{{ .Thinking }}
</think>

{{ end }}"""
THINKS = """{{ if .Think }}<think>
{{ end }}"""
TOOLS_TEMPLATE = """{{ if .Tools }}<|im_start|>system
You may call these functions:{{ range .Tools }}
{{ .Function }}{{ end }}<|im_end|>
{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}
THOUGHT{{ .Content }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
THINKS"""
HANDY = {
    "model": "handy",
    "from": "starter",
    "template": TOOLS_TEMPLATE.replace("THOUGHT", THOUGHT).replace("THINKS", THINKS),
    "parameters": {"num_predict": 60, "temperature": 0},
    "stream": False,
}
"""A model with a template that tells of tools, since the starter's own does not; it calls what it has seen called."""
PROMPT = {**HANDY, "template": TOOLS_TEMPLATE.replace("THOUGHT", "").replace("THINKS", "")}
"""The same without thinking: its answers are short and begin at once."""


@contextlib.contextmanager
def stocked(home: Path, starter: Path, minilm: Path, **settings: str) -> Iterator[Program]:
    """A server with `starter`, and `minilm` for embeddings."""
    home.mkdir(parents=True, exist_ok=True)
    for model, name in ((starter, "starter"), (minilm, "minilm")):
        added = hoshikage(home, "add", str(model), name)
        assert added.returncode == 0, added.stderr
    with serve(home, None, **settings) as program:
        yield program


def running(program: Program) -> int:
    """How many generations run on the server."""
    models = httpx.get(f"{program.url}/v1/status", timeout=10).json()["models"]
    return sum(int(model.get("running", 0)) for model in models)


def until_idle(program: Program) -> None:
    """Wait until none runs."""
    until = time.monotonic() + LIMIT_SECONDS
    while running(program):
        assert time.monotonic() < until, "it goes on generating"
        time.sleep(0.05)
