"""The gateway stays light: it imports nothing heavy, and a loaded model lives in another process."""

import subprocess
import sys
from pathlib import Path

import httpx

from tests.program import Program

HEAVY = {
    "llama_cpp",
    "llguidance",
    "numpy",
    "chromadb",
    "torch",
    "sentence_transformers",
    "sklearn",
    "fugashi",
    "huggingface_hub",
    "httpx",
    "httpx2",
    "rich",
}
PROGRAM = """
import sys
import hoshikage.cli.main, hoshikage.api.app, hoshikage.services, hoshikage.models.pull
import hypercorn.asyncio
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_all_that_the_gateway_imports_is_light() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_the_running_gateway_has_no_engine_mapped(server: Program) -> None:
    httpx.post(f"{server.url}/api/generate", json={"model": "starter"}, timeout=60)
    worker = server.worker_pid()
    assert worker
    assert "libllama" in Path(f"/proc/{worker}/maps").read_text()
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert not [name for name in ("libllama", "numpy", "torch") if name in mapped]
