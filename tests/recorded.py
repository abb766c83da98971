"""The request bodies of real clients in fixtures/requests, as parameters of tests."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct, field

FOLDER = Path(__file__).parent.parent / "fixtures" / "requests"
MOST_TOKENS = 4


class Recorded(Struct, frozen=True, kw_only=True):
    """One file; its README tells what each field is."""

    client: str
    origin: str
    method: str
    path: str
    headers: dict[str, str]
    expect: dict[str, Any]
    body: Any = None
    text: str = ""
    refused: str = ""
    answer: int = 0
    name: str = field(default="")

    @property
    def content(self) -> bytes:
        return self.text.encode() if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()

    def bounded(self) -> bytes:
        """The body with a short answer asked for, where it asks for one."""
        if self.path == "/v1/chat/completions":
            rest = {name: value for name, value in self.body.items() if name != "max_completion_tokens"}
            return json.dumps({**rest, "max_tokens": MOST_TOKENS}).encode()
        if self.path not in {"/api/chat", "/api/generate"}:
            return self.content
        options = self.body.get("options") or {}
        few = min(options.get("num_predict") or MOST_TOKENS, MOST_TOKENS)  # 4.0 stays 4.0
        return json.dumps({**self.body, "options": {**options, "num_predict": few}}).encode()


def load(path: Path) -> Recorded:
    found = msgspec.json.decode(path.read_bytes(), type=Recorded)
    return msgspec.structs.replace(found, name=f"{path.parent.name}/{path.stem}")


ALL = tuple(load(path) for path in sorted(FOLDER.rglob("*.json")))


def recorded(*paths: str) -> list[Any]:
    """Those that were sent to one of these paths, each named by client and file."""
    return [pytest.param(each, id=each.name) for each in ALL if each.path in paths]


def answered() -> list[Any]:
    """Those of which it is known what the server with the starter model answers."""
    return [pytest.param(each, id=each.name) for each in ALL if each.answer]
