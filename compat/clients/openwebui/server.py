"""Starts the real Open WebUI 0.12.4 on a free port, beside an Ollama server; it asks nothing of the world outside."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

VENV = Path(__file__).parents[3] / ".venv-openwebui"
START_SECONDS = 300
LEAN = {
    "DEFAULT_MODEL_METADATA": json.dumps({"capabilities": {"builtin_tools": False}}),
    "ENABLE_TITLE_GENERATION": "False",
    "ENABLE_TAGS_GENERATION": "False",
    "ENABLE_FOLLOW_UP_GENERATION": "False",
}
"""One message is then one request, without tools."""
QUIET = {
    "OFFLINE_MODE": "True",
    "HF_HUB_OFFLINE": "1",
    "ENABLE_VERSION_UPDATE_CHECK": "False",
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "ENABLE_PIP_INSTALL_FRONTMATTER_REQUIREMENTS": "False",
}


def environment(home: Path, port: int, ollama: str, embedder: str) -> dict[str, str]:
    """All that it is told; nothing of this process's own environment."""
    return {
        "PATH": f"{VENV}/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "DATA_DIR": str(home / "data"),
        "FROM_INIT_PY": "true",  # as its own command does: the page lies inside the package
        "WEBUI_SECRET_KEY": "only-for-this-run-and-not-a-secret-at-all",
        "WEBUI_AUTH": "False",
        "ENABLE_PERSISTENT_CONFIG": "False",
        "CORS_ALLOW_ORIGIN": f"http://127.0.0.1:{port}",
        "ENABLE_OLLAMA_API": "True",
        "OLLAMA_BASE_URL": ollama,
        "ENABLE_OPENAI_API": "False",
        "RAG_EMBEDDING_ENGINE": "ollama",
        "RAG_EMBEDDING_MODEL": embedder,
        "RAG_OLLAMA_BASE_URL": ollama,
        **QUIET,
    }


@contextlib.contextmanager
def opened(home: Path, ollama: str, embedder: str = "minilm", **more: str) -> Iterator[str]:
    """Its address, when it answers. The socket is made here, so that no port has to be guessed."""
    python = VENV / "bin/python"
    assert python.exists(), "Open WebUI is not installed: run `make compat`"
    home.mkdir(parents=True)
    with socket.socket() as listening, (home / "openwebui.log").open("w") as log:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        port, handle = listening.getsockname()[1], listening.fileno()
        environ = {**environment(home, port, ollama, embedder), **more}
        command = [str(python), "-m", "uvicorn", "open_webui.main:app", "--fd", str(handle), "--workers", "1"]
        with subprocess.Popen(
            command, cwd=home, env=environ, pass_fds=[handle], stdout=log, stderr=subprocess.STDOUT
        ) as process:
            listening.close()  # else a start that fails would be a wait without end
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", timeout=START_SECONDS).raise_for_status()
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
