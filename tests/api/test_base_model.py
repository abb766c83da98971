"""A base model with sliding-window layers and without a chat template: Gemma 3 270M, over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.program import hoshikage, serve

MODEL = "gemma3-270m"
GREEDY = {"temperature": 0, "num_predict": 6}


@pytest.fixture(scope="module")
def client(gemma: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("home")
    added = hoshikage(home, "add", str(gemma), MODEL)
    assert added.returncode == 0, added.stderr
    with serve(home) as program, program.client() as client:
        yield client


def ask(client: httpx.Client, route: str, **more: object) -> dict[str, object]:
    reply = client.post(route, json={"model": MODEL, "stream": False, "options": GREEDY, **more})
    assert reply.status_code == 200, reply.text
    answer: dict[str, object] = reply.json()
    return answer


COUNTING = "One two three four five six seven"


def test_a_raw_prompt_is_continued(client: httpx.Client) -> None:
    answer = ask(client, "/api/generate", prompt=COUNTING, raw=True)
    assert str(answer["response"]).startswith(" eight nine ten")
    assert (answer["eval_count"], answer["done_reason"]) == (6, "length")


def test_a_chat_sends_the_texts_as_they_are_one_a_line(client: httpx.Client) -> None:
    messages = [{"role": role, "content": COUNTING} for role in ("user", "assistant", "user")]
    chat = ask(client, "/api/chat", messages=messages)
    raw = ask(client, "/api/generate", prompt="\n".join([COUNTING] * 3), raw=True)
    assert chat["prompt_eval_count"] == raw["prompt_eval_count"]
    assert "One two three" in str(chat["message"])  # a model that only completes goes on with the next line


def test_it_is_shown_as_a_model_that_only_completes(client: httpx.Client) -> None:
    shown = client.post("/api/show", json={"model": MODEL}).json()
    assert (shown["capabilities"], shown["template"]) == (["completion"], "{{ .Prompt }}")
