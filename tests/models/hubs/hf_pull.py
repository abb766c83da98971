"""A pull by the Hugging Face hub in a process of its own: a JSON line a step, then what it brought and its peak RSS.

The hub is named by HF_ENDPOINT, the cache by HF_HOME, as for a user.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from hoshikage.errors import PullError
from hoshikage.models.hubs.huggingface import HuggingFace
from tests.models.hubs.hub_app import Hub
from tests.program import peak_bytes


def main(name: str) -> int:
    steps = HuggingFace().fetch(name, Path())
    try:
        while True:
            print(msgspec.json.encode(next(steps)).decode(), flush=True)  # noqa: T201
    except StopIteration as stop:
        print(json.dumps({"path": stop.value.model.path, "peak": peak_bytes()}), flush=True)  # noqa: T201
        return 0
    except PullError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201
        return 1


def environment(hub: Hub, home: Path, **more: str) -> dict[str, str]:
    """Nothing of the tester's own: no token, no proxy, no cache."""
    kept = {key: value for key, value in os.environ.items() if not key.upper().startswith("HF_")}
    kept = {key: value for key, value in kept.items() if not key.lower().endswith("_proxy")}
    return {**kept, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **more}


def started(hub: Hub, home: Path, name: str, **more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.models.hubs.hf_pull", name]
    return subprocess.Popen(command, env=environment(hub, home, **more), stdout=subprocess.PIPE, text=True)


def finished(child: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    """All that the process told, once it has ended."""
    assert child.stdout is not None
    with child:
        out = child.stdout.read()  # communicate() would pass over what readline() has taken from the pipe already
    return [json.loads(line) for line in out.splitlines()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
