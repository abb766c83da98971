"""Two command lines and a server change the models at once: the three files agree after every round."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from fixtures.tiny_gguf import make_tiny
from tests.program import environment, serve

ROUNDS = 100
SHARED = ("both", "all", "three")


class Terminal:
    """One of the command lines."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, *arguments: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def terminal(home: Path) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "tests.models.commands"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(home), stdin=pipe, stdout=pipe, text=True) as process:
        yield Terminal(process)
        assert process.stdin is not None
        process.stdin.close()


def said(home: Path) -> tuple[set[str], set[str], set[str]]:
    """The names in each of the three files, read as they are."""
    models = home / "models"
    cards = json.loads((models / "tags_cache.json").read_bytes())["data"]
    tags = json.loads((models / "tags_ollama.json").read_bytes())["models"]
    named = {tag["name"].removesuffix(":latest") for tag in tags}
    return set(json.loads((models / "model_map.json").read_bytes())), {card["id"] for card in cards}, named


def command(chance: random.Random, own: str, path: Path) -> list[str]:
    name = chance.choice((f"{own}1", f"{own}2", *SHARED))
    return ["add", str(path), name] if chance.random() < 0.6 else ["remove", name]


def ask(client: httpx.Client, chance: random.Random) -> int:
    name = chance.choice(("server1", "server2", *SHARED))
    if chance.random() < 0.6:
        return client.post("/api/copy", json={"source": "base", "destination": name}).status_code
    return client.request("DELETE", "/api/delete", json={"model": name}).status_code


@pytest.mark.timeout(300)
def test_a_hundred_random_interleavings_leave_agreement(tmp_path: Path) -> None:
    home, chance = tmp_path / "home", random.Random(4)
    tiny = make_tiny(tmp_path / "tiny.gguf")
    with serve(home) as server, terminal(home) as one, terminal(home) as two, server.client() as client:
        assert one.run("add", str(tiny), "base") == 0
        for _ in range(ROUNDS):
            commands = command(chance, "one", tiny), command(chance, "two", tiny)
            with ThreadPoolExecutor(3) as threads:
                codes = [threads.submit(each.run, *commands[at]) for at, each in enumerate((one, two))]
                threads.submit(ask, client, chance)
            check(home, commands, [code.result() for code in codes])
        shown = {model["name"].removesuffix(":latest") for model in client.get("/api/tags").json()["models"]}
        assert shown == said(home)[0]
    assert len(shown) > 1


def check(home: Path, commands: Sequence[list[str]], codes: list[int]) -> None:
    truth, cards, tags = said(home)
    assert truth == cards == tags, (commands, codes)
    assert "base" in truth
    for (act, *_, name), code in zip(commands, codes, strict=True):
        if code == 0 and name not in SHARED:
            assert (name in truth) == (act == "add"), (commands, codes)
